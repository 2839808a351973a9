import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import {
  type Copy,
  DockerfileParser,
  type From,
  type Instruction,
  type JSONInstruction,
  type PropertyInstruction,
} from 'dockerfile-ast';

/** User and group that the RUN steps and the container get where the suite runs as root. */
export interface ContainerUser {
  uid: number;
  gid: number;
}

/** What the last stage of a Dockerfile left. Paths of the image are those under `root`. */
export interface ReplayedImage {
  /** Folder that stands for `/`. */
  root: string;
  workdir: string;
  env: Record<string, string>;
  user: ContainerUser;
  volumes: string[];
  healthcheck: string[];
  entrypoint: string[];
  cmd: string[];
}

interface Stage {
  root: string;
  workdir: string;
}

const isRoot = process.getuid?.() === 0;

/** User and group for a child process: only root can give them. */
export const asUser = ({ uid, gid }: ContainerUser): Partial<ContainerUser> => (isRoot ? { uid, gid } : {});

/**
 * Runs the steps of a Dockerfile without a container engine. Each stage has a folder that stands for `/`, and instead of its
 * base image the Node of this machine. RUN steps get no root permissions, and therefore cannot leave their folder; what COPY
 * writes belongs to the user of the suite, root in CI, as in an image.
 *
 * @param context - folder that `docker build` gets, with a `.dockerignore`.
 * @param folder - empty folder for the stages.
 * @throws for an instruction, a flag or a form that it does not know, so that nothing is left out in silence.
 */
export function replayDockerfile(file: string, context: string, folder: string): ReplayedImage {
  const dockerfile = DockerfileParser.parse(readFileSync(file, 'utf8'));
  const user = userOf(dockerfile.getInstructions());
  const allowed = copyContext(context, join(folder, 'context'));
  const stages = new Map<string, Stage>();
  const home = makeHome(join(folder, 'home'), user);
  let stage: Stage | undefined;
  let image: ReplayedImage | undefined;
  for (const instruction of dockerfile.getInstructions()) {
    const keyword = instruction.getKeyword();
    if (keyword === 'ARG' && stage == null) continue;
    if (keyword === 'FROM') {
      const name = (instruction as From).getBuildStage() ?? 'image';
      stage = { root: join(folder, name), workdir: '/' };
      mkdirSync(stage.root, { recursive: true });
      stages.set(name, stage);
      image = {
        ...stage,
        env: {},
        user,
        volumes: [],
        healthcheck: [],
        entrypoint: [],
        cmd: [],
      };
      continue;
    }
    if (stage == null || image == null) throw new Error(`${keyword} before FROM`);
    switch (keyword) {
      case 'WORKDIR':
        stage.workdir = image.workdir = instruction.getArgumentsContent() as string;
        mkdirSync(join(stage.root, stage.workdir), { recursive: true });
        break;
      case 'COPY':
        copy(instruction as Copy, stage, stages, allowed);
        break;
      case 'RUN':
        run(instruction.getArgumentsContent() as string, join(stage.root, stage.workdir), home, user);
        break;
      case 'ENV':
        Object.assign(image.env, propertiesOf(instruction));
        break;
      case 'VOLUME':
        image.volumes = jsonOf(instruction);
        break;
      case 'HEALTHCHECK':
        image.healthcheck = JSON.parse(
          /CMD\s+(\[.*\])$/s.exec(instruction.getArgumentsContent() as string)?.[1] ?? '',
        );
        break;
      case 'ENTRYPOINT':
        image.entrypoint = jsonOf(instruction);
        break;
      case 'CMD':
        image.cmd = jsonOf(instruction);
        break;
      case 'EXPOSE':
      case 'LABEL':
      case 'USER':
      case 'STOPSIGNAL':
        break;
      default:
        throw new Error(`${keyword} is not replayed`);
    }
  }
  return image as ReplayedImage;
}

/** The numeric user of the last stage. */
function userOf(instructions: Instruction[]): ContainerUser {
  const value = instructions.findLast((one) => one.getKeyword() === 'USER')?.getArgumentsContent();
  const [, uid, gid] = /^(\d+):(\d+)$/.exec(value ?? '') ?? [];
  if (uid == null) throw new Error(`USER must be numeric, with a group: ${value}`);
  return { uid: Number(uid), gid: Number(gid) };
}

/** Copies what `.dockerignore` lets through: `*`, then exceptions, and patterns for the ends of names. */
function copyContext(context: string, target: string): string {
  const lines = readFileSync(join(context, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.shift() !== '*') throw new Error('.dockerignore must begin with *');
  const endings = lines.filter((line) => line.startsWith('**/*')).map((line) => line.slice('**/*'.length));
  for (const line of lines) {
    if (line.startsWith('**/*')) continue;
    const [, path] = /^!([\w./-]+)$/.exec(line) ?? [];
    if (path == null) throw new Error(`.dockerignore: ${line} is not replayed`);
    if (!existsSync(join(context, path))) continue;
    cpSync(join(context, path), join(target, path), {
      recursive: true,
      filter: (source) => !endings.some((ending) => source.endsWith(ending)),
    });
  }
  return target;
}

function copy(instruction: Copy, stage: Stage, stages: ReadonlyMap<string, Stage>, context: string): void {
  const flags = Object.fromEntries(
    instruction.getFlags().map((flag) => [flag.getName(), flag.getValue() as string]),
  );
  const { from, chown, ...unknown } = flags;
  if (Object.keys(unknown).length > 0) throw new Error(`COPY ${Object.keys(unknown)} is not replayed`);
  const base = from == null ? context : stages.get(from)?.root;
  if (base == null) throw new Error(`COPY --from=${from}: no such stage`);
  const paths = instruction.getArguments().map((argument) => argument.getValue());
  const destination = paths.pop() as string;
  const target = isAbsolute(destination)
    ? join(stage.root, destination)
    : join(stage.root, stage.workdir, destination);
  // Nothing writes to an earlier stage any more, so links do for its thousands of files.
  const link = from == null ? [] : ['--link'];
  for (const source of paths.map((path) => join(base, path))) {
    // A folder is copied by its content, a file by its name where the destination ends with a slash.
    const isFolder = statSync(source).isDirectory();
    mkdirSync(isFolder || destination.endsWith('/') ? target : dirname(target), { recursive: true });
    execFileSync('cp', ['-R', ...link, isFolder ? `${source}/.` : source, target]);
  }
  const owner = chown ?? (from == null ? null : '0:0');
  if (isRoot && owner != null) execFileSync('chown', ['-R', owner, target]);
}

function run(command: string, cwd: string, home: string, user: ContainerUser): void {
  if (/(^|[\s"'=])\/(?!dev\/null)/.test(command))
    throw new Error(`RUN with a path outside WORKDIR: ${command}`);
  const passed = Object.entries(process.env).filter(([name]) =>
    /^(npm_config_(registry|cafile)|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i.test(name),
  );
  // In a build, root owns what the steps before have made; here the user of the steps does.
  if (isRoot) {
    execFileSync('find', [
      cwd,
      '!',
      '-uid',
      `${user.uid}`,
      '-exec',
      'chown',
      '-h',
      `${user.uid}:${user.gid}`,
      '{}',
      '+',
    ]);
  }
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', command], {
    cwd,
    encoding: 'utf8',
    env: {
      ...Object.fromEntries(passed),
      PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
      HOME: home,
      npm_config_cache: join(home, '.npm'),
      npm_config_prefer_offline: 'true',
    },
    ...asUser(user),
  });
  if (status !== 0) throw new Error(`RUN ${command}: exit code ${status}\n${stdout}\n${stderr}`);
}

/** A home folder with the packages that npm has downloaded before. */
function makeHome(home: string, { uid, gid }: ContainerUser): string {
  const cache = execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim();
  const target = join(home, '.npm', '_cacache');
  mkdirSync(target, { recursive: true });
  execFileSync('cp', ['-R', join(cache, '_cacache', 'index-v5'), '-t', target]);
  // Hundreds of megabytes: links where the file system allows it. A link shares its owner with the file, who stays root.
  const content = join(cache, '_cacache', 'content-v2');
  if (spawnSync('cp', ['-R', '--link', content, '-t', target]).status !== 0)
    execFileSync('cp', ['-R', content, '-t', target]);
  if (isRoot) {
    const own = ['-exec', 'chown', `${uid}:${gid}`, '{}', '+'];
    execFileSync('find', [home, '-type', 'd', ...own]);
    execFileSync('find', [join(target, 'index-v5'), ...own]);
  }
  return home;
}

function jsonOf(instruction: Instruction): string[] {
  return (instruction as JSONInstruction).getJSONStrings().map((argument) => JSON.parse(argument.getValue()));
}

function propertiesOf(instruction: Instruction): Record<string, string> {
  return Object.fromEntries(
    (instruction as PropertyInstruction)
      .getProperties()
      .map((one) => [one.getName(), one.getValue() as string]),
  );
}
