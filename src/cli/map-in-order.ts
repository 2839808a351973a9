/**
 * Maps items with several calls of `work` in progress, and yields the results in the order of the items. Holds at most
 * `atATime` items and results.
 *
 * @param atATime - calls in progress, at least 1.
 * @throws the first error of `work`, or of the items.
 */
export async function* mapInOrder<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  atATime: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const pending: Promise<Result>[] = [];
  for await (const item of items) {
    const result = work(item);
    // It may fail while an earlier one is awaited; the error is thrown when its turn comes.
    result.catch(() => undefined);
    pending.push(result);
    if (pending.length >= atATime) yield await (pending.shift() as Promise<Result>);
  }
  for (const result of pending) yield await result;
}
