import { describe, expect, it } from 'vitest';
import { answersIn, dnsQuery } from '../../bench/probe/dns-query.ts';

it('a query is as RFC 1035 lays it out', () => {
  const bytes = '1234 0100 0001 0000 0000 0000 05 7461736b73 03 776562 00 0001 0001';
  expect(dnsQuery(0x1234, 'tasks.web').toString('hex')).toBe(bytes.replaceAll(' ', ''));
});

describe('answers', () => {
  const cases = [
    { id: 'two', hex: '1234 8180 0001 0002 0000 0000', count: 2 },
    { id: 'none', hex: '1234 8180 0001 0000 0000 0000', count: 0 },
    { id: 'an unknown name', hex: '1234 8183 0001 0000 0000 0000', count: 0 },
    { id: 'a failure that carries records', hex: '1234 8182 0001 0001 0000 0000', count: 0 },
    { id: 'to another query', hex: '1235 8180 0001 0002 0000 0000', count: 0 },
    { id: 'cut short', hex: '1234 8180 0001', count: 0 },
  ];
  for (const { id, hex, count } of cases) {
    it(id, () => expect(answersIn(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 0x1234)).toBe(count));
  }
});
