import { type ChildProcess, fork } from 'node:child_process';

/** Starts the worker file in a process of its own; what it is to do is told by the first message. */
export function forkWorker(file: string): ChildProcess {
  return fork(file, {
    serialization: 'advanced',
    // Not those of the parent: its flags (inspector, loaders) are not meant for the worker. A worker collects garbage
    // once the bytes of a model file, as large as the model itself, have been loaded.
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}
