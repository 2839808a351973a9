import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootDir } from './paths';

/**
 * Blocks of README.md that a test runs as printed. The words after the language mark them:
 *
 * - `ts file=src/main.ts`: a file of the reader's Nest app.
 * - `sh step=install`: commands, run in the folder of that app. Steps are `install`, `call` (the app is running) and
 *   `verify` (the command line).
 * - `json answer=call`: what the step of that name prints.
 */
export interface ReadmeBlocks {
  /** Text by path. */
  files: Map<string, string>;
  /** Commands by name. */
  steps: Map<string, string>;
  /** Text by the name of the step. */
  answers: Map<string, string>;
}

const FENCE = /^```(\w+) (file|step|answer)=(\S+)\n([\s\S]*?)^```$/gm;

export function readmeBlocks(text = readFileSync(join(rootDir, 'README.md'), 'utf8')): ReadmeBlocks {
  const blocks = { file: new Map(), step: new Map(), answer: new Map() };
  for (const [, , kind, name, body] of text.matchAll(FENCE)) {
    const map: Map<string, string> = blocks[kind as keyof typeof blocks];
    if (map.has(name)) throw new Error(`README.md has two blocks with ${kind}=${name}.`);
    map.set(name, body);
  }
  return { files: blocks.file, steps: blocks.step, answers: blocks.answer };
}
