import type { Command } from 'commander';

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('Serve HTTP on PORT (default 3000); the documentation is then at /docs.')
    .action(async () => {
      // main.ts starts the service when it is loaded, and ends the process where that fails.
      await import('../main.js');
    });
}
