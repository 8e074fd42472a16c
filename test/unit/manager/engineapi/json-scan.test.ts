import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { JsonSyntaxError, editText, memberOf, scanJson } from '../../../../manager/engineapi/json-scan.ts';

describe('scanJson', () => {
  it.each([
    ['', 'unexpected EOF'],
    ['{', 'unexpected EOF'],
    ['{"a":1', 'unexpected EOF'],
    ['"abc', 'unexpected EOF'],
    ['{a', "invalid character 'a' looking for beginning of object key string"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b"}', "invalid character '\"' after object key:value pair"],
    ["['", "invalid character '\\'' looking for beginning of value"],
    ['[1 2]', "invalid character '2' after array element"],
    ['tru0', "invalid character '0' in literal true (expecting 'e')"],
    ['-x', "invalid character 'x' in numeric literal"],
    ['1.x', "invalid character 'x' after decimal point in numeric literal"],
    ['1e,', "invalid character ',' in exponent of numeric literal"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ['"\n"', "invalid character '\\n' in string literal"],
    ['{} x', "invalid character 'x' after top-level value"],
  ])('%j: %s', (text, message) => {
    expect(() => scanJson(text)).toThrow(new JsonSyntaxError(message));
  });

  it('refuses depths that would exhaust the stack', () => {
    expect(() => scanJson('['.repeat(100_000))).toThrow('exceeded max depth');
  });

  test.prop([fc.json()])('accepts what JSON.parse accepts', (text) => {
    const node = scanJson(` ${text}\n`);
    expect([node.start, node.end]).toEqual([1, text.length + 1]);
  });

  test.prop([
    fc.oneof(
      fc.string(),
      fc.json(),
      fc.tuple(fc.json(), fc.string()).map(([a, b]) => a.slice(1) + b),
    ),
  ])('agrees with JSON.parse on what is JSON', (text) => {
    expect(accepts(() => scanJson(text))).toBe(accepts(() => JSON.parse(text)));
  });

  test.prop([fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()])(
    'finds and replaces one value',
    (rest, value) => {
      const text = JSON.stringify({ ...rest, HostConfig: { a: 1, NetworkMode: 'old' } });
      const place = memberOf(memberOf(scanJson(text), 'hostconfig')?.value, 'NETWORKMODE')?.value;
      if (place === undefined) throw new Error('not found');
      const edited = editText(text, [{ ...place, text: JSON.stringify(value) }]);
      const expected = JSON.stringify({ ...rest, HostConfig: { a: 1, NetworkMode: value } });
      expect(edited).toBe(expected);
    },
  );
});

function accepts(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}
