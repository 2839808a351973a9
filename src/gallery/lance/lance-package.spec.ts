import { LanceStore } from '../../index';

// Stands for an installation without the optional packages: whoever loads one gets this error.
jest.mock('@lancedb/lancedb', () => {
  throw Object.assign(new Error('Cannot find module'), { code: 'MODULE_NOT_FOUND' });
});

describe('without the packages of LanceDB', () => {
  it('loads the library, and says what to install when the store is opened', async () => {
    await expect(LanceStore.open({ uri: 'unused' })).rejects.toMatchObject({
      code: 'GALLERY_STORE_INVALID',
      message: expect.stringContaining('npm install @lancedb/lancedb'),
    });
  });
});
