import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Environment variables that workers get; names ending in `*` are prefixes. All others stay in the main process: an image
 * that exploits a decoder must not find the keys of the service.
 *
 * Node and its options, where libraries and temporary files lie, languages and time zone, allocators, threads of native
 * libraries, and what Windows needs to open a socket.
 */
const WORKER_ENVIRONMENT: readonly string[] = [
  'NODE_ENV',
  'NODE_OPTIONS',
  'NODE_PATH',
  'NODE_V8_COVERAGE',
  'PATH',
  'LD_LIBRARY_PATH',
  'LD_PRELOAD',
  'DYLD_LIBRARY_PATH',
  'TMPDIR',
  'TEMP',
  'TMP',
  'LANG',
  'LC_*',
  'TZ',
  'MALLOC_*',
  'OMP_*',
  'UV_THREADPOOL_SIZE',
  'VIPS_*',
  'SYSTEMROOT',
  'WINDIR',
];

/** Added to `oom_score_adj`, [-1000, 1000], so that Linux ends a worker before the main process when memory runs out. */
const OOM_SCORE_STEP = 300;

const running = new Set<ChildProcess>();
// A worker that loads a model hears neither a signal nor that its parent has gone, for seconds.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts the worker file in a process of its own. The first message holds its settings. */
export function forkWorker(file: string): ChildProcess {
  const child = fork(file, {
    serialization: 'advanced',
    // Not those of the parent: its flags (inspector, loaders) are not meant for the worker. A worker collects garbage
    // once the bytes of a model file, as large as the model itself, have been loaded.
    execArgv: ['--expose-gc'],
    // glibc gives every thread an arena of its own, and the buffers of images, which go from thread to thread, leave holes
    // in each: 50 MB of a worker after 10,000 requests, and 3 to 7 % more by 50,000. Two do, as one thread runs models.
    //
    // ONNX Runtime from 1.29 on sends names, hashes and speed of models to Microsoft, with an id of the machine, and does so
    // by default (docs/Privacy.md there). Set before the runtime starts, the variable prevents all of it.
    env: { ...workerEnvironment(process.env), MALLOC_ARENA_MAX: '2', ORT_DISABLE_TELEMETRY: '1' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  if (child.pid != null) raiseOomScore(child.pid);
  return child;
}

/** The variables of an environment that a worker gets; names are compared as Windows does. */
export function workerEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isAllowed = (name: string) =>
    WORKER_ENVIRONMENT.some((allowed) =>
      allowed.endsWith('*') ? name.startsWith(allowed.slice(0, -1)) : name === allowed,
    );
  return Object.fromEntries(Object.entries(env).filter(([name]) => isAllowed(name.toUpperCase())));
}

/**
 * Lets the kernel end a worker, which is replaced, before the server, which holds the galleries.
 *
 * @see `Documentation/filesystems/proc.rst` of Linux, "/proc/<pid>/oom_score_adj": raising it needs no privilege.
 */
function raiseOomScore(pid: number): void {
  try {
    const own = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(Math.min(1000, own + OOM_SCORE_STEP)));
  } catch {
    // Another system, a file that may not be written, or a process that has ended: it runs with the score of its parent.
  }
}
