import { homedir } from 'node:os';
import { join } from 'node:path';
import { userCacheDir } from './user-cache-dir';

describe(userCacheDir.name, () => {
  it.each([
    ['linux', { HOME: '/home/ada' }, ['/home/ada', '.cache']],
    ['linux', { HOME: '/home/ada', XDG_CACHE_HOME: '/var/cache' }, ['/var/cache']],
    ['linux', { HOME: '/home/ada', XDG_CACHE_HOME: 'cache' }, ['/home/ada', '.cache']],
    ['linux', { HOME: '/home/ada', XDG_CACHE_HOME: '' }, ['/home/ada', '.cache']],
    ['linux', { HOME: '/' }, ['/.cache']],
    ['darwin', { HOME: '/Users/ada' }, ['/Users/ada', 'Library', 'Caches']],
    ['win32', { HOME: '/home/ada', LOCALAPPDATA: '/local' }, ['/local']],
    ['win32', { HOME: '/home/ada' }, ['/home/ada', '.cache']],
  ] as const)('on %s with %j is likeness in %j', (system, env, parts) => {
    expect(userCacheDir(env, system)).toBe(join(...parts, 'likeness'));
  });

  it('asks the system where HOME is not set', () => {
    expect(userCacheDir({}, 'linux')).toBe(join(homedir(), '.cache', 'likeness'));
  });

  it('is null where there is no home folder', () => {
    expect(userCacheDir({ HOME: '' }, 'linux')).toBeNull();
    expect(userCacheDir({ HOME: 'relative' }, 'linux')).toBeNull();
  });
});
