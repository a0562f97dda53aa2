SELECT E'a'
 -- c
 'b\'; insert into t values (1)--'