import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { timingSafeEqual } from 'node:crypto';
import { statSync } from 'node:fs';
import { AppConfig } from '../../config/app.config';
import { type ApiKey, type Scope } from './api-key';
import { isGeneratedKey, parseKeyFile, readKeyFile, sha256, storedKeys, type StoredKey } from './key-file';

/**
 * Polling interval of the key file. File system events are missing for mounted volumes and for replaced symbolic links,
 * as in Kubernetes secrets. `watchFile` would miss a change between the first read and its own first check.
 */
const WATCH_INTERVAL_MS = 1000;

/** The key of a secret. */
export interface FoundKey {
  apiKey: ApiKey;
  /** Whether the secret has 256 random bits; false if a person may have chosen it. */
  isGenerated: boolean;
}

/** Hashes of all keys of the service: the key file or the keys of the program, ADMIN_KEY and DEEPFACE_AUTH_TOKEN. */
@Injectable()
export class ApiKeys implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('Keys');
  private readonly file: string | null;
  private readonly chosen: readonly StoredKey[];
  private generated: readonly StoredKey[] = [];
  /** Version of the file at the last read. */
  private version = '';
  private watchTimer?: NodeJS.Timeout;

  /** @throws {FaceError} API_KEYS_INVALID. */
  constructor({ apiKeysFile, apiKeys, adminKey, deepface }: AppConfig) {
    this.file = apiKeysFile;
    this.chosen = [
      ...chosenKey('ADMIN_KEY', adminKey, ['admin', 'embeddings', 'metrics']),
      ...chosenKey('DEEPFACE_AUTH_TOKEN', deepface.authToken, ['verify', 'identify', 'enroll', 'embeddings']),
    ];
    if (this.file != null) this.read(this.file);
    // As text, so that the same rules hold as for a file.
    if (apiKeys != null) this.generated = storedKeys(parseKeyFile(JSON.stringify({ keys: apiKeys })));
  }

  /** Returns the key of a secret, in constant time for secrets of the same length. */
  find(secret: string): FoundKey | null {
    const digest = sha256(secret);
    const generated = isGeneratedKey(secret) ? keyOf(digest, this.generated) : null;
    const apiKey = generated ?? keyOf(digest, this.chosen);
    return apiKey && { apiKey, isGenerated: generated != null };
  }

  onApplicationBootstrap(): void {
    const { file } = this;
    if (file == null) return;
    this.watchTimer = setInterval(() => {
      if (versionOf(file) !== this.version) this.reload();
    }, WATCH_INTERVAL_MS).unref();
    this.logCount('read');
  }

  onModuleDestroy(): void {
    clearInterval(this.watchTimer);
  }

  /** Reads the file again. An invalid file changes nothing. */
  readonly reload = (): void => {
    try {
      this.read(this.file as string);
      this.logCount('read again');
    } catch (error) {
      this.logger.error(`${(error as Error).message} The previous keys stay valid.`);
    }
  };

  private read(file: string): void {
    // Read before the content, so that the next check detects a change in between.
    this.version = versionOf(file);
    this.generated = readKeyFile(file);
  }

  private logCount(what: string): void {
    const count = this.generated.length;
    if (count === 0) this.logger.warn('The API key file contains no keys.');
    else this.logger.log(`${what} ${count} API ${count === 1 ? 'key' : 'keys'}`);
  }
}

/** Identifies a version of the file. All missing files have the same version. */
function versionOf(file: string): string {
  const { mtimeMs, ctimeMs, size, ino } = statSync(file, { throwIfNoEntry: false }) ?? {};
  return [mtimeMs, ctimeMs, size, ino].join(' ');
}

function chosenKey(name: string, secret: string | null, scopes: readonly Scope[]): StoredKey[] {
  if (secret == null) return [];
  const apiKey = { name, scopes: new Set(scopes), maySetThresholds: true, maySeeDistances: true };
  return [{ apiKey, digest: sha256(secret) }];
}

/** Compares with every key, so that the time does not reveal a match. */
function keyOf(digest: Buffer, keys: readonly StoredKey[]): ApiKey | null {
  let found: ApiKey | null = null;
  for (const key of keys) if (timingSafeEqual(digest, key.digest)) found = key.apiKey;
  return found;
}
