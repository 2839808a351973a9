import type { Command } from 'commander';

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('Start the HTTP service on PORT (default 3000), with its documentation at /docs.')
    .action(async () => {
      // main.ts starts the service on import, and ends the process if that fails.
      await import('../main.js');
    });
}
