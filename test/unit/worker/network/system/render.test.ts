import { describe, expect, it } from 'vitest';
import { type LineOperation, render } from '../../../../../worker/network/system/render.ts';

const MAC = '02:42:0a:00:00:05';
const HOST = '5e:00:00:00:01:02';

const cases: { id: string; operation: LineOperation; tool: string; inHost: boolean; line: string }[] = [
  {
    id: 'the VXLAN device is made from the host',
    operation: { kind: 'create-vxlan', vni: 4097, local: '1.2.3.4', port: 4789, mtu: 1450 },
    tool: 'ip',
    inHost: true,
    line: 'link add vxlan1 mtu 1450 netns 1-x type vxlan id 4097 local 1.2.3.4 dstport 4789 nolearning proxy',
  },
  {
    id: 'forwarding rows replace',
    operation: { kind: 'put-forwarding', mac: MAC, vtep: '1.2.3.4' },
    tool: 'bridge',
    inHost: false,
    line: `fdb replace ${MAC} dev vxlan1 dst 1.2.3.4 self permanent`,
  },
  {
    id: 'bridge rows replace',
    operation: { kind: 'put-bridged', mac: MAC },
    tool: 'bridge',
    inHost: false,
    line: `fdb replace ${MAC} dev vxlan1 master static`,
  },
  {
    id: 'the routed pair is made from the host',
    operation: { kind: 'create-route-link', mtu: 1500 },
    tool: 'ip',
    inHost: true,
    line: 'link add wgr-x mtu 1500 type veth peer name routed0 mtu 1500 netns 1-x',
  },
  {
    id: 'nothing is flooded into the host',
    operation: { kind: 'quiet-route-link' },
    tool: 'bridge',
    inHost: false,
    line: 'link set dev routed0 learning off flood off mcast_flood off bcast_flood off',
  },
  {
    id: 'routes are elements',
    operation: { kind: 'put-route', address: '10.0.0.5', mac: HOST },
    tool: 'nft',
    inHost: true,
    line: `add element netdev waggle-x routes { 10.0.0.5 : ${HOST} }`,
  },
  {
    id: 'those of IPv6 have maps of their own',
    operation: { kind: 'put-port', address: 'fd00::5', mac: MAC },
    tool: 'nft',
    inHost: true,
    line: `add element netdev waggle-x ports6 { fd00::5 : ${MAC} }`,
  },
  {
    id: 'a map is told the address alone of what goes',
    operation: { kind: 'delete-route', address: 'fd00::5' },
    tool: 'nft',
    inHost: true,
    line: 'delete element netdev waggle-x routes6 { fd00::5 }',
  },
  {
    id: 'and a set all of it',
    operation: { kind: 'delete-source', address: 'fd00::5', mac: HOST },
    tool: 'nft',
    inHost: true,
    line: `delete element netdev waggle-x sources6 { ${HOST} . fd00::5 }`,
  },
  {
    id: 'lower links are up, with no address that the kernel makes up',
    operation: { kind: 'set-lower', lower: 'wgl5', mtu: 1400 },
    tool: 'ip',
    inHost: true,
    line: 'link set dev wgl5 mtu 1400 addrgenmode none up',
  },
  {
    id: 'a shortcut goes whole, and one that is gone already is made first',
    operation: { kind: 'delete-shortcut', lower: 'wgl5' },
    tool: 'nft',
    inHost: true,
    line: ['out', 'in']
      .map((hook) => `netdev waggle-x ${hook}-wgl5`)
      .flatMap((chain) => [`add chain ${chain}`, `flush chain ${chain}`, `delete chain ${chain}`])
      .join('\n'),
  },
  {
    id: 'neighbours replace',
    operation: { kind: 'put-neighbour', address: '10.0.0.5', mac: MAC },
    tool: 'ip',
    inHost: false,
    line: `neigh replace 10.0.0.5 lladdr ${MAC} dev vxlan1 nud permanent`,
  },
  {
    id: 'a deletion names the VTEP that is there: another one would do nothing',
    operation: { kind: 'delete-forwarding', mac: MAC, vtep: '1.2.3.4' },
    tool: 'bridge',
    inHost: false,
    line: `fdb del ${MAC} dev vxlan1 dst 1.2.3.4 self`,
  },
];

describe('render', () => {
  it.each(cases)('$id', ({ operation, tool, inHost, line }) => {
    expect(render('1-x', operation)).toEqual({ tool, inHost, line });
  });
});
