import { spawnSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';

/** Names of Chromium on the path (Debian: `apt-get install chromium`); `CHROMIUM_PATH` comes first. */
const COMMANDS = ['chromium', 'chromium-browser', 'google-chrome'];

const executablePath = [process.env.CHROMIUM_PATH ?? '', ...COMMANDS]
  .filter((command) => command !== '')
  .map((command) => spawnSync('which', [command], { encoding: 'utf8' }).stdout.trim())
  .find((path) => path !== '');

if (executablePath == null && process.env.REQUIRE_CHROMIUM) {
  throw new Error('REQUIRE_CHROMIUM is set but there is no chromium on the path.');
}

/** A suite that needs Chromium; skipped by name where it is absent. */
export function describeWithChromium(name: string, suite: () => void): void {
  if (executablePath == null) describe.skip(`${name} (needs chromium, which is absent)`, suite);
  else describe(name, suite);
}

/** Starts a headless Chromium; `close()` ends it. Its pages come from `newContext()`, each with storage of its own. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    headless: true,
    // Suites run as root in containers, whose shared memory is small.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}
