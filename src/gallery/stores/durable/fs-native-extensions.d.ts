declare module 'fs-native-extensions' {
  /** Takes an exclusive advisory lock on the whole file, released when it is closed; false if another process holds one. */
  export function tryLock(fd: number): boolean;
}
