-- About 400,000 allocator calls of the sqlite3 command, in a database that stays in memory.
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, payload BLOB);
CREATE INDEX item_name ON item(name);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 48000)
INSERT INTO item SELECT i, printf('item %d of %s', i, hex(i * 7919)), i * 1.25, zeroblob(i % 700) FROM n;
SELECT count(*), sum(length(payload)) FROM item;
SELECT count(*) FROM
    (SELECT name, group_concat(id) AS ids FROM item GROUP BY substr(name, 6, 3) ORDER BY length(ids));
UPDATE item SET name = upper(name) || ' revised' WHERE id % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
SELECT max(length(name)), total(price) FROM item WHERE name LIKE '%REVISED%';
