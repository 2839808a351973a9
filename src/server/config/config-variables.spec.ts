import { CONFIG_VARIABLES } from './config-variables';

describe('CONFIG_VARIABLES', () => {
  it('describes every variable, with a default in its range', () => {
    for (const [name, variable] of Object.entries(CONFIG_VARIABLES)) {
      expect([name, variable.doc.length]).toEqual([name, expect.any(Number)]);
      expect(variable.doc).not.toBe('');
      if (
        (variable.type === 'integer' || variable.type === 'decimal') &&
        typeof variable.default === 'number'
      ) {
        expect(variable.default).toBeGreaterThanOrEqual(variable.range[0]);
        expect(variable.default).toBeLessThanOrEqual(variable.range[1]);
      }
    }
  });
});
