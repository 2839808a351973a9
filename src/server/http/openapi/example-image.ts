/** WebP, 96x96, of a drawn face, as a data URI: short enough to read past, and a complete image. */
export const EXAMPLE_IMAGE_DATA_URI =
  'data:image/webp;base64,' +
  'UklGRkIBAABXRUJQVlA4IDYBAADQDACdASpgAGAAP3Gszly0ramkqdXbMpAuCUAaAwiLli9T6M+iNgqhcjGBzCyzPo2J0Imc' +
  '2YzuV18/bE1q1DzArAAyEmk+ZGS3SFwmLxxLrEYONYr4ZK5rM7sOr/38tKkGl58VJe/khp4AZQaHEAAA/ucu1zunN0AL6diu' +
  'IVoVYyT1JqpnEvG7jnEIVWLpwUe+2dvGNFszbSubztFnBQFeHkTnX0IQKT6UhPR6S0YW3+R6rz1Jpg5vwKe83sFezMCOdRGD' +
  'YwJMQLBvTTTDXElsOzZ0aVoErlZS4Pi0IM62UwP/yuM7DMXWikYpk31bO/2mBvmJjoJbx1YXH4UiPGGqHQRsCmDs9SPEzie7' +
  'a9U18m+nScuNknpQWHQlQPNo9JZHFaVZ0oU4w5KwY3wcOHiAX2IIAAAA';
