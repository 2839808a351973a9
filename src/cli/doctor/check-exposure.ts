import { once } from 'node:events';
import { createServer } from 'node:net';
import { checkExposure as openTo } from '../../server/http/auth/exposure';
import type { AppConfig } from '../../server/config/app.config';
import { type Check, failure, ok, warning } from './check';

/** Below it a secret that a person made up can be guessed; `openssl rand -base64 32` gives 44. */
const MIN_SECRET_LENGTH = 32;
/** Different characters of a secret: a repeated word has few. */
const MIN_DIFFERENT_CHARACTERS = 10;

/** Who can reach the service, and what they need to know for it. */
export async function checkExposure(config: AppConfig): Promise<Check[]> {
  return [checkHost(config), await checkPort(config), ...checkSecrets(config), ...checkImageUrls(config)];
}

function checkHost(config: AppConfig): Check {
  const { host, apiKeysFile } = config;
  try {
    const open = openTo(config);
    if (open != null)
      return warning('exposure', open, 'Make keys with "likeness keys create", and remove FACE_AUTH=off.');
  } catch (error) {
    return failure('exposure', (error as Error).message, 'The service does not start so.');
  }
  return ok(
    'exposure',
    apiKeysFile == null
      ? `HOST ${host} is reached from this machine only.`
      : `HOST ${host}: requests need a key of FACE_API_KEYS_FILE.`,
  );
}

async function checkPort({ host, port }: AppConfig): Promise<Check> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return ok('port', port === 0 ? 'PORT 0 takes a free port.' : `PORT ${port} is free.`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      return warning(
        'port',
        `PORT ${port} is taken.`,
        'Stop the program that has it, unless it is this service.',
      );
    }
    return failure(
      'port',
      `PORT ${port} on HOST ${host} cannot be listened on (${code}).`,
      'Correct PORT or HOST.',
    );
  } finally {
    server.close();
  }
}

function checkSecrets({ adminKey, deepface, gallery }: AppConfig): Check[] {
  const secrets = Object.entries({
    ADMIN_KEY: adminKey,
    DEEPFACE_AUTH_TOKEN: deepface.authToken,
    FACE_GALLERY_KEY: gallery.key,
  }).flatMap(([name, value]) => (value == null ? [] : [{ name, value }]));
  return secrets.map(({ name, value }) => {
    const advice = `Make a random one: openssl rand -base64 ${MIN_SECRET_LENGTH}.`;
    if (value.length < MIN_SECRET_LENGTH || new Set(value).size < MIN_DIFFERENT_CHARACTERS) {
      return warning(name, 'It is short or repeats itself, and could be guessed.', advice);
    }
    const twin = secrets.find((other) => other.name !== name && other.value === value);
    if (twin != null) return warning(name, `It is the same as ${twin.name}.`, advice);
    return ok(name, 'It is set, and long enough.');
  });
}

function checkImageUrls({ imageUrlHosts }: AppConfig): Check[] {
  if (imageUrlHosts.length === 0) return [];
  if (!imageUrlHosts.includes('*'))
    return [ok('image URLs', 'Images are fetched from the named hosts only.')];
  const advice = 'Name the hosts in FACE_IMAGE_URL_HOSTS.';
  return [warning('image URLs', 'Callers can make the service fetch from every public host.', advice)];
}
