import { filterProblem } from './filter';

describe(filterProblem.name, () => {
  it.each([{}, { a: 1 }, { a: 'x', b: [true, 2, 'y'] }])('takes %j', (filter) => {
    expect(filterProblem(filter)).toBeNull();
  });

  it.each<[unknown, string]>([
    ['department=it', 'must be an object, or JSON of one'],
    [null, 'must be an object, or JSON of one'],
    [['it'], 'must be an object, or JSON of one'],
    [{ a: [] }, 'must have 1 to 100 values for a key'],
    [{ a: Array(101).fill(1) }, 'must have 1 to 100 values for a key'],
    [{ a: { b: 1 } }, 'must have values that are'],
    [{ a: [1, null] }, 'must have values that are'],
    [{ '': 1 }, 'must have keys of'],
    [Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 1])), 'must have at most 32 keys'],
  ])('refuses %j', (filter, problem) => {
    expect(filterProblem(filter)).toMatch(problem);
  });
});
