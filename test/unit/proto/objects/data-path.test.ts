import { describe, expect, it } from 'vitest';
import { dataPathOf, dataPathProblem } from '../../../../proto/objects/data-path.ts';

function spec(options: Record<string, string> | null, more: object = {}) {
  return { Name: 'n', DriverConfiguration: { Name: 'overlay', Options: options }, ...more };
}

const ROUTED = { 'waggle.datapath': 'routed' };
const SIX = { IPv6Enabled: true, IPAMOptions: { Configs: [{ Subnet: 'fd00::/64' }] } };

describe('data path of a network', () => {
  it.each([
    { id: 'not said', options: {}, dataPath: 'vxlan' },
    { id: 'none of the options', options: null, dataPath: 'vxlan' },
    { id: 'the default', options: { 'waggle.datapath': 'vxlan', encrypted: '' }, dataPath: 'vxlan' },
    { id: 'routed', options: ROUTED, dataPath: 'routed' },
    { id: 'routed, with IPv6', options: ROUTED, dataPath: 'routed', more: SIX },
  ])('is taken: $id', ({ options, dataPath, more }) => {
    expect(dataPathProblem(spec(options, more))).toBeUndefined();
    expect(dataPathOf(options)).toBe(dataPath);
  });

  it.each([
    {
      id: 'another word',
      network: spec({ 'waggle.datapath': 'Routed' }),
      words: 'waggle.datapath=Routed: must be one of',
    },
    {
      id: 'no word',
      network: spec({ 'waggle.datapath': '' }),
      words: 'waggle.datapath=: must be one of vxlan, routed',
    },
    { id: 'encrypted', network: spec({ ...ROUTED, encrypted: '' }), words: 'cannot be combined with option encrypted' },
    {
      id: 'encrypted, whatever the value, as in Docker',
      network: spec({ ...ROUTED, encrypted: 'false' }),
      words: 'cannot be combined with option encrypted',
    },
  ])('is refused: $id', ({ network, words }) => {
    expect(dataPathProblem(network)).toContain(words);
  });
});
