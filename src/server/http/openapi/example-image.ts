/** WebP, 160x160, of a drawn face, as a data URI: short enough to read past, and a complete image. */
export const EXAMPLE_IMAGE_DATA_URI =
  'data:image/webp;base64,' +
  'UklGRiACAABXRUJQVlA4IBQCAACwFwCdASqgAKAAP3Gwzly0rqmkrDZZapAuCWVu3V3tKICjFgbyWBvJCzoJpeI7GKIkK7lH' +
  'Dlsv4j1xp4KqIn4HewZUBtAgFlQeq6o3r/iwBCNiwChc3deXCLpuukH2xOCpOsJ2W61HTuO98Enmzdnx0hOGzGoHtQ2Q/as3' +
  'r1w8Y08muyqm5coFKcPQuxMaYyIjG9MCKWLZ+87rm9TCkI6dY0Fjsk/kYRffX8CiAFZKFwGDfUC7C+H9DvJeF9eyRj8ZH2F6' +
  'igAA/uWIf+vV3OolCA7ukCEY8Lwmcyxkf2hzJV7JUmHU8/efEjTNaYfzWadRbI5YBcLy9ZLac4ZBXCr5iZyx8e+JklmyQQ7T' +
  'QjHsqx0BgEfAy3uTHGafgOuLZ/XgPoynVbpRhKydQnBPHOP5GZ4W2MJEQcDNkyeD1J+exvp9T52TxGYtFCRR6gn7yalOLnWF' +
  'YyXolH+hrtHyNXJ42WPMOeMCjOwSxhptMue+TThJGEwmCA3kooRpcAJLK8Wu/NUARpD4lLJgZn+099iv6olAVIi53LgAtJsk' +
  'EGAqogJ0++2r6qHLVnSd2hphJ10F2L/TyGLjDvLIwxvTrVXHr6o/8YWmSe9Wj1onZea1zuOEZzu6w8vM2dkEN8uHMZIrdXvb' +
  'J0GppctRBrEDR7f3mO2RfB6QLeZJ8EACNv9oeSrsULuOaXmKtKnewFnmMrknAAAA';
