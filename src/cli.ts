#!/usr/bin/env node
import { createProgram } from './cli/program';
import { reportError } from './cli/report-error';

// A reader that has seen enough, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

// No process.exit at the end: it could cut off what is still being written. Every command closes what it opened.
createProgram().parseAsync().catch(reportError);
