import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import type { Notice } from '../../../face/face.options';
import { jetstreamInvalid } from './connect-nats';

/** Error codes of JetStream (server/errors.json of nats-server). */
export const CODES = {
  unavailable: 10008,
  noMessageFound: 10037,
  sequenceNotFound: 10043,
  nameInUse: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  needsCluster: 10074,
} as const;

/** Required settings: the stream must drop no messages by itself, as only our removals overwrite their bytes. */
const KEPT = {
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  max_age: 0,
  max_msgs: -1,
  max_msgs_per_subject: -1,
  deny_delete: false,
} as const satisfies Partial<StreamConfig>;

export interface StreamOptions {
  name: string;
  /** Subjects of its messages, with a wildcard. */
  subjects: string;
  /** Copies of a newly created stream. */
  replicas: number;
  onNotice?: (notice: Notice) => void;
}

/**
 * Creates the stream of the entries if it does not exist. Several replicas may do so at the same time.
 *
 * @throws {FaceError} GALLERY_STORE_INVALID if the stream could drop messages by itself, or there are too few servers.
 */
export async function openStream(manager: JetStreamManager, options: StreamOptions): Promise<void> {
  const { name, replicas, onNotice } = options;
  const config = await findOrMake(manager, options);
  const wrong = Object.entries(KEPT).find(
    ([setting, value]) => (config[setting as keyof typeof KEPT] ?? value) !== value,
  );
  if (wrong) throw jetstreamInvalid(`needs ${wrong[0]}: ${wrong[1]} in stream ${name}`);
  if (config.num_replicas === replicas) return;
  const message = `Stream ${name} has ${config.num_replicas} copies, not ${replicas}: nats stream edit changes it.`;
  onNotice?.({ level: 'warn', message });
}

async function findOrMake(
  manager: JetStreamManager,
  { name, subjects, replicas }: StreamOptions,
): Promise<StreamConfig> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (error) {
    if (!isCode(error, CODES.streamNotFound)) throw error;
  }
  try {
    const made = { name, ...KEPT, subjects: [subjects], num_replicas: replicas, discard: DiscardPolicy.New };
    return (await manager.streams.add({ ...made, allow_direct: true })).config;
  } catch (error) {
    // Another replica created it at the same moment, with another number of copies.
    if (isCode(error, CODES.nameInUse)) return (await manager.streams.info(name)).config;
    if (!isCode(error, CODES.needsCluster)) throw error;
    throw jetstreamInvalid(
      `needs a cluster of ${replicas} servers, or FACE_GALLERY_NATS_REPLICAS=1 for a single server`,
      error,
    );
  }
}

export function isCode(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}
