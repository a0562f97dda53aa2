-- insert
SELECT 1