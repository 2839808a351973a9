import { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { addAnalyzeCommand } from './analyze.command';
import { addAuditCommand } from './audit.command';
import { addCalibrateCommand } from './calibrate.command';
import { addDetectCommand } from './detect.command';
import { addDoctorCommand } from './doctor.command';
import { addGalleryCommand } from './gallery.command';
import { addIdentifyCommand } from './identify.command';
import { addKeysCommand } from './keys.command';
import { addModelsCommand } from './models.command';
import { addReceiptCommand } from './receipt.command';
import { addRepresentCommand } from './represent.command';
import { addServeCommand } from './serve.command';
import { addVerifyCommand } from './verify.command';

/** The program `likeness` with all its commands. Errors are thrown, for cli.ts to report in one form. */
export function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const program = new Command('likeness')
    .description(
      'Face verification: compare, represent, find, analyze and identify faces, or serve all of it over HTTP.',
    )
    .version(version)
    // Before the commands are added, which inherit it.
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .addHelpText(
      'after',
      `
Exit codes:
  0  success
  1  the answer is no: verify does not verify, identify knows nobody, a check of models, audit, receipt or doctor
     fails, or serve cannot start
  2  error

Settings are read from the FACE_ environment variables of the service. "likeness help <command>" shows examples.`,
    );
  for (const add of [
    addServeCommand,
    addVerifyCommand,
    addRepresentCommand,
    addDetectCommand,
    addAnalyzeCommand,
    addIdentifyCommand,
    addGalleryCommand,
    addModelsCommand,
    addKeysCommand,
    addCalibrateCommand,
    addAuditCommand,
    addReceiptCommand,
    addDoctorCommand,
  ]) {
    add(program);
  }
  return program;
}
