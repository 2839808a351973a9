import type { Notice } from '../../face/face.options';

/** Where galleries are kept in LanceDB, and who is told of what. */
export interface LanceStoreOptions {
  /** A folder, or an address that LanceDB knows: `s3://bucket/prefix`, `gs://`, `az://`. Replicas that name the same share it. */
  uri: string;
  /** Credentials and the like, as LanceDB names them. */
  storageOptions?: Record<string, string>;
  onNotice?: (notice: Notice) => void;
}
