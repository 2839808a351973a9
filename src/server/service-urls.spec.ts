import { urlLines } from './service-urls';

describe(urlLines.name, () => {
  it.each([
    ['127.0.0.1', 'http://127.0.0.1:3000'],
    ['0.0.0.0', 'http://localhost:3000'],
    ['::', 'http://localhost:3000'],
    ['::1', 'http://[::1]:3000'],
    ['faces.example.com', 'http://faces.example.com:3000'],
  ])('of %s are those that a browser here can open', (host, origin) => {
    expect(urlLines(host, 3000)).toBe(
      `\n  console  ${origin}/\n  docs     ${origin}/docs\n  health   ${origin}/health/ready\n`,
    );
  });
});
