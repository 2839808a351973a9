import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import globals from 'globals';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  // AssemblyScript reads like TypeScript and is none.
  { ignores: ['dist', 'coverage', 'node_modules', '**/*.as.ts'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  prettier,
  {
    languageOptions: { globals: globals.node },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { ignoreRestSiblings: true, argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      'no-console': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  {
    files: ['src/**/*.ts'],
    languageOptions: { parserOptions: { project: './test/tsconfig.json' } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
    },
  },
  {
    // What threads load as it is, also where tests run from the sources.
    files: ['src/**/*.js'],
    languageOptions: { sourceType: 'commonjs' },
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  {
    // They run in the browser.
    files: ['src/server/console/page/*.mjs'],
    languageOptions: { globals: { ...globals.browser, process: 'off' } },
  },
  {
    files: ['src/cli.ts', 'src/cli/**/*.ts', 'bench/**', 'test/**', '.ci/**', '.config/**'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['src/**/*.spec.ts', 'test/**'],
    // Where a seed is drawn; the fuzz run prints its own.
    ignores: ['test/support/seeded-random.ts', 'test/fuzz/run.mjs'],
    rules: {
      'no-restricted-properties': [
        'error',
        {
          object: 'Math',
          property: 'random',
          message: 'A failed run must be repeatable: use test/support/seeded-random.',
        },
      ],
    },
  },
);
