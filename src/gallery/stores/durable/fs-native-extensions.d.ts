declare module 'fs-native-extensions' {
  /** Takes an exclusive advisory lock on the whole file, released when it is closed; false where another has one. */
  export function tryLock(fd: number): boolean;
}
