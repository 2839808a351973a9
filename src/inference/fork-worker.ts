import { type ChildProcess, fork } from 'node:child_process';

const running = new Set<ChildProcess>();
// A worker that loads a model hears neither a signal nor that its parent has gone, for seconds.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts the worker file in a process of its own; what it is to do is told by the first message. */
export function forkWorker(file: string): ChildProcess {
  const child = fork(file, {
    serialization: 'advanced',
    // Not those of the parent: its flags (inspector, loaders) are not meant for the worker. A worker collects garbage
    // once the bytes of a model file, as large as the model itself, have been loaded.
    execArgv: ['--expose-gc'],
    // glibc gives every thread an arena of its own, and the buffers of images, which go from thread to thread, leave holes
    // in each: 50 MB of a worker after 10,000 requests, and 3 to 7 % more by 50,000. Two do, as one thread runs models.
    env: { ...process.env, MALLOC_ARENA_MAX: '2' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}
