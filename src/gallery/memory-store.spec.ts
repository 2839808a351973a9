import { galleryStoreContract } from '../../test/support/gallery-store-contract';
import { VECTOR_PRECISIONS } from './index/vector-index';
import { MemoryStore } from './memory-store';

describe.each(VECTOR_PRECISIONS)('MemoryStore, %s', (precision) => {
  galleryStoreContract('MemoryStore', async () => new MemoryStore({ threadCount: 2, precision }));
});
