import type { Command, Option } from 'commander';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createProgram } from './program';

/*
 * The reference in docs/cli.md is made from the commands. `UPDATE_DOCS=1 npm run test:unit -- program` regenerates it.
 */

const page = join(__dirname, '..', '..', 'docs', 'cli.md');
const [begin, end] = ['<!-- commands -->', '<!-- end of commands -->'];

/** Commands that do something, with their full names. */
function leaves(command: Command, path: string[] = []): { name: string; command: Command }[] {
  const name = [...path, command.name()];
  if (command.commands.length === 0) return [{ name: name.join(' '), command }];
  return command.commands.flatMap((sub) => leaves(sub, name));
}

function reference(): string {
  const program = createProgram();
  const help = program.createHelp();
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '\\<');
  const sections = leaves(program).map(({ name, command }) => {
    const names = command.registeredArguments.map((argument) => [
      argument.required ? `<${argument.name()}${argument.variadic ? '...' : ''}>` : `[${argument.name()}]`,
      help.argumentDescription(argument),
    ]);
    const options = command.options
      .filter(({ hidden }) => !hidden)
      .map((option: Option) => [option.flags, help.optionDescription(option)]);
    const rows = [...names, ...options].map(([term, text]) => `| \`${term}\` | ${cell(text)} |`);
    const table = rows.length === 0 ? [] : ['', '| | |', '| --- | --- |', ...rows];
    return [`### ${name}`, '', command.description(), ...table].join('\n');
  });
  return `\n\n${sections.join('\n\n')}\n\n`;
}

describe('docs/cli.md', () => {
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];

  it('has every command with its arguments and options', () => {
    expect(text.split(begin)).toHaveLength(2);
    if (process.env.UPDATE_DOCS) writeFileSync(page, text.slice(0, from) + reference() + text.slice(to));
    else expect(text.slice(from, to)).toBe(reference());
  });
});

/** Commands that a user can type, without `npx`, variables, comments and redirections. */
function commandLines(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [, command] = /^(?:.*\| |\s*(?:[A-Z_]+=\S+ )*)(?:npx )?(likeness .+)$/.exec(line) ?? [];
    return command == null ? [] : [command.replace(/ +(#|[<>] ).*$/, '')];
  });
}

/** Words of a line, as a shell splits them: quotes keep spaces. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/(?:"([^"]*)"|'([^']*)'|[^\s"']+)+/g)].map(([word]) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'),
  );
}

describe('the examples', () => {
  const program = createProgram();
  const helps = leaves(program).map(({ name, command }) => {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    const [, examples = ''] = help.split('Examples:\n');
    return { place: `likeness help ${name}`, lines: commandLines(examples) };
  });
  const places = [{ place: 'docs/cli.md', lines: commandLines(readFileSync(page, 'utf8')) }, ...helps].filter(
    ({ lines }) => lines.length > 0,
  );

  it('are in the help of the commands that most need them', () => {
    const names = places.map(({ place }) => place.replace(/^.* /, ''));
    expect(names).toEqual(
      expect.arrayContaining([
        'serve',
        'verify',
        'represent',
        'detect',
        'analyze',
        'identify',
        'import',
        'create',
      ]),
    );
  });

  it.each(places.flatMap(({ place, lines }) => lines.map((line) => [place, line])))(
    '%s: %s',
    (_place, line) => {
      const program = createProgram();
      let isRun = false;
      for (const { command } of leaves(program)) command.action(() => void (isRun = true));
      program.parse(wordsOf(line).slice(1), { from: 'user' });
      expect(isRun).toBe(true);
    },
  );
});
