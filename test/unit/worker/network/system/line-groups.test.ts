import { describe, expect, it } from 'vitest';
import { lineGroups } from '../../../../../worker/network/system/line-groups.ts';
import type { LineOperation } from '../../../../../worker/network/system/render.ts';

const NAMESPACE = '1-abcdefghij';
const BRIDGE: LineOperation = { kind: 'create-bridge', mac: '02:42:0a:00:01:01', mtu: 1450 };
const VXLAN: LineOperation = { kind: 'create-vxlan', vni: 4097, local: '192.168.0.1', port: 4789, mtu: 1450 };
const ROUTE_LINK: LineOperation = { kind: 'create-route-link', mtu: 1500 };
const UP: LineOperation = { kind: 'set-up', link: 'br0' };
const PORT_UP: LineOperation = { kind: 'set-up', link: 'vethabc' };
const FORWARD: LineOperation = { kind: 'put-bridged', mac: '02:42:0a:00:01:02' };
const END: LineOperation = { kind: 'delete-route-end' };

describe('operations on a namespace', () => {
  it.each<{ id: string; operations: LineOperation[]; groups: string[] }>([
    { id: 'none', operations: [], groups: [] },
    { id: 'one tool', operations: [UP, PORT_UP], groups: ['ip set-up set-up'] },
    { id: 'two tools', operations: [UP, FORWARD, PORT_UP], groups: ['ip set-up', 'bridge put-bridged', 'ip set-up'] },
    { id: 'host and namespace', operations: [END, UP], groups: ['host ip delete-route-end', 'ip set-up'] },
    {
      id: 'a link is made',
      operations: [UP, BRIDGE, UP],
      groups: ['ip set-up create-bridge, links anew', 'ip set-up'],
    },
    {
      id: 'a link is made from the host',
      operations: [BRIDGE, VXLAN, ROUTE_LINK, END],
      groups: [
        'ip create-bridge, links anew',
        'host ip create-vxlan, links anew, host anew',
        'host ip create-route-link, links anew, host anew',
        'host ip delete-route-end',
      ],
    },
  ])('go together where their order allows, and processes that know too much are ended: $id', (each) => {
    const found = lineGroups(NAMESPACE, each.operations).map(({ tool, inHost, operations, ...group }) => {
      const kinds = operations.map(({ kind }) => kind).join(' ');
      const ends = [group.forgetsLinks ? ', links anew' : '', group.forgetsHost ? ', host anew' : ''].join('');
      return `${inHost ? 'host ' : ''}${tool} ${kinds}${ends}`;
    });
    expect(found).toEqual(each.groups);
  });
});
