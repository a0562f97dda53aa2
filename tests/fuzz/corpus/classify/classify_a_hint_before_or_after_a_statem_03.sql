--holdfast : primary
 SELECT 1