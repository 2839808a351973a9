#!/usr/bin/env node
import { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { addAnalyzeCommand } from './cli/analyze.command';
import { addAuditCommand } from './cli/audit.command';
import { addCalibrateCommand } from './cli/calibrate.command';
import { addDetectCommand } from './cli/detect.command';
import { addDoctorCommand } from './cli/doctor.command';
import { addGalleryCommand } from './cli/gallery.command';
import { addIdentifyCommand } from './cli/identify.command';
import { addKeysCommand } from './cli/keys.command';
import { addModelsCommand } from './cli/models.command';
import { addReceiptCommand } from './cli/receipt.command';
import { addRepresentCommand } from './cli/represent.command';
import { reportError } from './cli/report-error';
import { addServeCommand } from './cli/serve.command';
import { addVerifyCommand } from './cli/verify.command';

const { version } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as {
  version: string;
};

const program = new Command('likeness')
  .description(
    'Face verification: compare, represent, find, analyse and identify faces, or serve all of it over HTTP.',
  )
  .version(version)
  // Errors are reported below, in one form for all of them; set before the commands are added, which inherit it.
  .exitOverride()
  .configureOutput({ outputError: () => undefined })
  .addHelpText(
    'after',
    '\nExit code: 0; 1 for verify that does not verify, identify that knows nobody, models check that finds a wrong' +
      '\n   file, audit verify that finds a broken line, receipt verify of a receipt that does not hold, and doctor that' +
      '\n   finds a failure;' +
      '\n2 for errors.' +
      '\nSettings come from the same FACE_ environment variables as those of the service.',
  );

addVerifyCommand(program);
addRepresentCommand(program);
addDetectCommand(program);
addAnalyzeCommand(program);
addIdentifyCommand(program);
addGalleryCommand(program);
addModelsCommand(program);
addKeysCommand(program);
addCalibrateCommand(program);
addAuditCommand(program);
addReceiptCommand(program);
addDoctorCommand(program);
addServeCommand(program);

// A reader that has seen enough, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

// No process.exit at the end: it could cut off what is still being written. Every command closes what it opened.
program.parseAsync().catch(reportError);
