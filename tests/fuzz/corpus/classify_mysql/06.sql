SELECT /*!99999 /* a */ b */ 'x\'y' -- c
, 0x1f, 1e5, t.1a