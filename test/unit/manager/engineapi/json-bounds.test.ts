import { fc, test } from '@fast-check/vitest';
import { expect, it } from 'vitest';
import { assertBounded } from '../../../../manager/engineapi/json-bounds.ts';

const refusal = (message: string): object => ({ code: 'invalid-argument', message });

it.each([
  { id: '100 deep', text: `${'['.repeat(100)}${']'.repeat(100)}` },
  { id: 'wide', text: `[${'[],'.repeat(1_000)}[]]` },
  { id: 'brackets in a text', text: `{"a":"${'['.repeat(5_000)}"}` },
  { id: 'a quote in a text', text: `{"a":"\\"${'['.repeat(5_000)}"}` },
  { id: 'a backslash at the end of a text', text: `{"a\\\\":"${'{'.repeat(5_000)}"}` },
  { id: 'commas in a text', text: `["${','.repeat(90_000)}"]` },
  { id: 'a text without an end', text: `"${'['.repeat(5_000)}` },
])('takes $id', ({ text }) => {
  expect(() => assertBounded(text)).not.toThrow();
});

it.each([
  { id: '101 deep', text: '['.repeat(101), message: 'exceeded max depth' },
  { id: 'deep objects', text: '{"a":'.repeat(101), message: 'exceeded max depth' },
  { id: 'deep after a text', text: `["a\\\\",${'['.repeat(100)}`, message: 'exceeded max depth' },
  { id: 'too many values', text: `[${'1,'.repeat(50_001)}1]`, message: 'json: more than 50000 values' },
])('refuses $id', ({ text, message }) => {
  expect(() => assertBounded(text)).toThrow(expect.objectContaining(refusal(message)) as Error);
});

it('is done with a text of nothing but escapes in no time', () => {
  const started = performance.now();
  assertBounded(`"${'\\\\'.repeat(1_000_000)}${'\\"'.repeat(500_000)}`);
  expect(performance.now() - started).toBeLessThan(5_000);
});

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test.prop([fc.jsonValue({ maxDepth: 8 }), fc.integer({ min: 90, max: 101 })])(
  'a value within brackets is refused exactly when it is too deep with them',
  (value, around) => {
    const text = `${'['.repeat(around)}${JSON.stringify(value)}${']'.repeat(around)}`;
    const check = (): void => assertBounded(text);
    if (around + depthOf(value) > 100) expect(check).toThrow('exceeded max depth');
    else expect(check).not.toThrow();
  },
);
