import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import {
  connect,
  credsAuthenticator,
  errors,
  type NatsConnection,
  type NodeConnectionOptions,
} from '@nats-io/transport-node';
import { FaceError } from '../../../errors';
import { DEFAULT_NATS_TIMEOUT_MS, type NatsSettings } from './nats-settings';

/** Change timeouts that a boot waits: service and servers often start at the same time. */
const BOOT_TIMEOUTS = 3;
const DIAL_TIMEOUT_MS = 2000;
/** Delay between two attempts. */
const RETRY_MS = 250;
/** Ping interval: a peer that vanished without closing is detected after two of them. */
const PING_MS = 2000;

/** @param why - follows "The jetstream store". */
export function jetstreamInvalid(why: string, cause?: unknown): FaceError {
  return new FaceError('GALLERY_STORE_INVALID', `The jetstream store ${why}.`, {}, { cause });
}

/**
 * Connects to the first server that answers. After that, the client reconnects without limit.
 *
 * @throws {FaceError} GALLERY_STORE_INVALID if a setting is wrong, a file cannot be read, the servers refuse the credentials, or
 * none answers.
 */
export async function connectNats(settings: NatsSettings): Promise<NatsConnection> {
  if (settings.servers.length === 0) throw jetstreamInvalid('needs FACE_GALLERY_NATS_SERVERS');
  const options = await toOptions(settings);
  return untilReady(settings, async () => {
    try {
      return await connect(options);
    } catch (cause) {
      if (
        cause instanceof errors.AuthorizationError ||
        cause instanceof errors.UserAuthenticationExpiredError
      )
        throw jetstreamInvalid('is refused by the servers: the credentials are wrong', cause);
      if (isCertificateError(cause))
        throw jetstreamInvalid(
          "cannot verify the servers' certificate: check FACE_GALLERY_NATS_CA_FILE",
          cause,
        );
      throw cause;
    }
  });
}

/** Repeats an attempt that fails because the servers are still starting. */
export async function untilReady<T>(
  { timeoutMs = DEFAULT_NATS_TIMEOUT_MS }: NatsSettings,
  attempt: () => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + BOOT_TIMEOUTS * timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (cause instanceof FaceError) throw cause;
      if (Date.now() > deadline) throw jetstreamInvalid('gets no answer from its servers', cause);
    }
    await delay(RETRY_MS);
  }
}

async function toOptions(settings: NatsSettings): Promise<NodeConnectionOptions> {
  const { servers, caFile, certFile, keyFile, credentialsFile, user, password, token } = settings;
  if ((certFile == null) !== (keyFile == null))
    throw jetstreamInvalid(
      'needs both FACE_GALLERY_NATS_CERT_FILE and FACE_GALLERY_NATS_KEY_FILE, or neither',
    );
  const methods = [credentialsFile, user, token].filter((given) => given != null);
  if (methods.length > 1)
    throw jetstreamInvalid('takes one of a credentials file, a user with password, and a token');
  const [ca, cert, key, credentials] = await Promise.all([
    readSetting('FACE_GALLERY_NATS_CA_FILE', caFile),
    readSetting('FACE_GALLERY_NATS_CERT_FILE', certFile),
    readSetting('FACE_GALLERY_NATS_KEY_FILE', keyFile),
    readSetting('FACE_GALLERY_NATS_CREDENTIALS_FILE', credentialsFile),
  ]);
  const wantsTls = ca != null || cert != null || servers.some((server) => server.startsWith('tls://'));
  return {
    name: 'likeness',
    servers: [...servers],
    timeout: DIAL_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RETRY_MS,
    reconnectJitter: RETRY_MS,
    reconnectJitterTLS: RETRY_MS,
    pingInterval: PING_MS,
    // A brief refusal of the credentials, such as while servers reload them, must not end the service.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
    ...(wantsTls && {
      tls: { ...(ca && { ca: text(ca) }), ...(cert && { cert: text(cert) }), ...(key && { key: text(key) }) },
    }),
    ...(credentials && { authenticator: credsAuthenticator(credentials) }),
    ...(user != null && { user, pass: password ?? '' }),
    ...(token != null && { token }),
  };
}

async function readSetting(name: string, path: string | null | undefined): Promise<Buffer | undefined> {
  if (path == null) return undefined;
  try {
    return await readFile(path);
  } catch (cause) {
    throw jetstreamInvalid(`cannot read the file of ${name}`, cause);
  }
}

function text(file: Buffer): string {
  return file.toString('utf8');
}

function isCertificateError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code ?? ((error as Error).cause as { code?: unknown })?.code;
  return typeof code === 'string' && /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code);
}
