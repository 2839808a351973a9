import { newReference } from '../../test/support/gallery-store-contract';
import type { StoredReference } from './gallery.types';
import { MAX_PAGE_BYTES, pageOfReferences, PageRoom } from './pages';

describe(PageRoom.name, () => {
  it('has room for so many items', () => {
    const room = new PageRoom(2);
    expect([room.take({}), room.take({}), room.take({})]).toEqual([true, true, false]);
  });

  it('has room for so many bytes, as UTF-8, and always for the first item', () => {
    const half = { text: '\u00e4'.repeat(MAX_PAGE_BYTES / 4 - 10) };
    const room = new PageRoom(9);
    expect([room.take(half), room.take(half), room.take(half)]).toEqual([true, true, false]);
    const small = new PageRoom(9);
    expect([small.take({ text: 'a'.repeat(2 * MAX_PAGE_BYTES) }), small.take({})]).toEqual([true, false]);
  });
});

describe(pageOfReferences.name, () => {
  const at = (createdAt: number, id: string, text = ''): StoredReference => ({
    ...newReference('ann', id, new Float32Array(8), { metadata: { text } }),
    expiresAt: null,
    hasCrop: false,
    createdAt,
  });
  /** All ids, page by page; what is deleted goes after the first page. */
  function idsOf(references: StoredReference[], limit: number, deleted: string[] = []): string[][] {
    const pages: string[][] = [];
    let after: string | undefined;
    do {
      const left = pages.length === 0 ? references : references.filter(({ id }) => !deleted.includes(id));
      const { items, next } = pageOfReferences(left, { limit, after });
      pages.push(items.map(({ id }) => id));
      after = next ?? undefined;
    } while (after !== undefined);
    return pages;
  }

  it('gives all in pages without embeddings, the first enrolled first, those of one call in their order', () => {
    const references = [at(5, 'z'), at(5, 'a'), at(9, 'b'), at(1, 'moved'), at(9, 'c')];
    expect(idsOf(references, 2)).toEqual([['moved', 'z'], ['a', 'b'], ['c']]);
    expect(idsOf(references, 5)).toEqual([['moved', 'z', 'a', 'b', 'c']]);
    expect(idsOf([], 5)).toEqual([[]]);
    const { items } = pageOfReferences(references, { limit: 1 });
    expect(items).toEqual([{ ...at(1, 'moved'), embedding: undefined }]);
    expect('embedding' in items[0]).toBe(false);
  });

  it('goes on where it was when the last one of a page is gone', () => {
    const references = [at(1, 'a'), at(2, 'b'), at(3, 'c'), at(4, 'd')];
    expect(idsOf(references, 2, ['b'])).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
    expect(idsOf(references, 2, ['a', 'b', 'c', 'd'])).toEqual([['a', 'b'], []]);
    const ofOneCall = [at(1, 'a'), at(1, 'b'), at(1, 'c')];
    expect(idsOf(ofOneCall, 2, ['b']).flat()).toEqual(expect.arrayContaining(['a', 'b', 'c']));
  });

  it('ends a page early where its items are large', () => {
    const large = ['a', 'b', 'c'].map((id, i) => at(i, id, 'x'.repeat(0.4 * MAX_PAGE_BYTES)));
    expect(idsOf(large, 100)).toEqual([['a', 'b'], ['c']]);
  });

  it.each(['', 'a', '1', '1.', '.a', '-1.a', `${'1'.repeat(20)}.a`])('refuses the cursor %j', (after) => {
    expect(() => pageOfReferences([at(1, 'a')], { limit: 1, after })).toThrow(
      expect.objectContaining({
        code: 'PARAMETER_INVALID',
        details: { fields: { cursor: expect.any(String) } },
      }),
    );
  });
});
