/*
 * The first import of main.ts: reading the other modules takes long enough for a signal to arrive. Until Nest listens for
 * signals itself, one ends the process at once and cleanly; its workers end with it (`forkWorker`).
 */

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const end = () => process.exit(0);

for (const signal of SIGNALS) process.on(signal, end);

/** Leaves signals to those who listen from now on. */
export function releaseBootSignals(): void {
  for (const signal of SIGNALS) process.off(signal, end);
}
