/*
 * The first import of main.ts, because a signal can arrive while the other modules load. Until Nest handles signals,
 * one ends the process at once with exit code 0; its workers end with it (`forkWorker`).
 */

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const end = () => process.exit(0);

for (const signal of SIGNALS) process.on(signal, end);

/** Removes these handlers once Nest handles signals. */
export function releaseBootSignals(): void {
  for (const signal of SIGNALS) process.off(signal, end);
}
