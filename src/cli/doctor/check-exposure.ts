import { once } from 'node:events';
import { createServer } from 'node:net';
import { checkExposure as openTo } from '../../server/http/auth/exposure';
import type { AppConfig } from '../../server/config/app.config';
import { type Check, failure, ok, warning } from './check';

/** Shorter secrets can be guessed when a person chose them; `openssl rand -base64 32` gives 44 characters. */
const MIN_SECRET_LENGTH = 32;
/** Minimum of distinct characters in a secret: a repeated word has few. */
const MIN_DIFFERENT_CHARACTERS = 10;

/** Checks the network exposure of the service and the secrets that protect it. */
export async function checkExposure(config: AppConfig): Promise<Check[]> {
  return [checkHost(config), await checkPort(config), ...checkSecrets(config), ...checkImageUrls(config)];
}

function checkHost(config: AppConfig): Check {
  const { host, apiKeysFile } = config;
  try {
    const open = openTo(config);
    if (open != null)
      return warning('exposure', open, 'Create keys with "likeness keys create" and remove FACE_AUTH=off.');
  } catch (error) {
    return failure('exposure', (error as Error).message, 'The service does not start with these settings.');
  }
  return ok(
    'exposure',
    apiKeysFile == null
      ? `HOST ${host} is reachable from this machine only.`
      : `HOST ${host}: requests need a key of FACE_API_KEYS_FILE.`,
  );
}

async function checkPort({ host, port }: AppConfig): Promise<Check> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return ok('port', port === 0 ? 'PORT 0 selects a free port.' : `PORT ${port} is free.`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      return warning(
        'port',
        `PORT ${port} is in use.`,
        'Stop the program that uses it, unless it is this service.',
      );
    }
    return failure(
      'port',
      `The service cannot listen on PORT ${port} of HOST ${host} (${code}).`,
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
    const advice = `Generate a random one: openssl rand -base64 ${MIN_SECRET_LENGTH}.`;
    if (value.length < MIN_SECRET_LENGTH || new Set(value).size < MIN_DIFFERENT_CHARACTERS) {
      return warning(name, 'It is short or repetitive and could be guessed.', advice);
    }
    const twin = secrets.find((other) => other.name !== name && other.value === value);
    if (twin != null) return warning(name, `It is the same as ${twin.name}.`, advice);
    return ok(name, 'It is set and long enough.');
  });
}

function checkImageUrls({ imageUrlHosts }: AppConfig): Check[] {
  if (imageUrlHosts.length === 0) return [];
  if (!imageUrlHosts.includes('*'))
    return [ok('image URLs', 'Images are fetched from the configured hosts only.')];
  const advice = 'List the allowed hosts in FACE_IMAGE_URL_HOSTS.';
  return [warning('image URLs', 'Callers can make the service fetch from any public host.', advice)];
}
