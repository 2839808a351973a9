import { readFileSync } from 'node:fs';

// Adds up Jest's reports; fails where a test was skipped although the folder it needs is there.
const totals = { passed: 0, failed: 0, skipped: 0 };
for (const file of process.argv.slice(2)) {
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(file, 'utf8'));
  totals.passed += numPassedTests;
  totals.failed += numFailedTests;
  totals.skipped += numPendingTests;
}
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
if (totals.passed === 0 || totals.failed > 0) process.exit(1);
if (process.env.REQUIRE_SHARED && totals.skipped > 0) {
  console.error('Tests were skipped although nothing they need is missing.');
  process.exit(1);
}
