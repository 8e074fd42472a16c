import { describe, expect, it } from 'vitest';
import { leftoverDifferences, linksToSweep, ownedNames } from '../../../../../worker/network/overlay/leftovers.ts';
import { namespaceName, waitingName } from '../../../../../worker/network/overlay/link-names.ts';
import type { HostLink } from '../../../../../worker/network/overlay/overlay-kernel.ts';
import { NETWORK_ID } from '../../../../fixtures/network-parts.ts';

const ENDPOINT_ID = 'a'.repeat(64);
const NAMESPACE = namespaceName(NETWORK_ID);
const LINK = waitingName(ENDPOINT_ID);
const PORT = 4789;
const NOBODY: ReadonlySet<string> = new Set();

function link(name: string, vxlanPort?: number): HostLink {
  const vxlan = vxlanPort === undefined ? {} : { vxlan: { vni: 4097, port: vxlanPort } };
  return { name, mtu: 1500, mac: '02:42:0a:00:00:05', addresses: [], ...vxlan };
}

it('owned is what networks, endpoints and links on their way out have', () => {
  const owned = ownedNames({ networkIds: [NETWORK_ID], endpointIds: [ENDPOINT_ID], departing: ['wge0123456789ab'] });
  expect([...owned]).toEqual([NAMESPACE, LINK, 'wge0123456789ab']);
});

describe('a leftover', () => {
  const cases: { id: string; name: string; before?: string[]; after?: string[]; isLeft: boolean }[] = [
    { id: 'a waiting link of nobody', name: LINK, isLeft: true },
    { id: 'one of somebody', name: LINK, before: [LINK], after: [LINK], isLeft: false },
    { id: 'one that goes: seen for the last time', name: LINK, before: [LINK], isLeft: false },
    { id: 'one that comes: known before it is made', name: LINK, after: [LINK], isLeft: false },
    { id: 'one while another has an owner', name: LINK, before: ['wge0123456789ab'], after: [NAMESPACE], isLeft: true },
    { id: 'a name that is not quite ours', name: `${LINK}0`, isLeft: false },
    { id: "somebody else's link", name: 'eth0', isLeft: false },
  ];

  it.each(cases)('of links: $id', ({ name, before, after, isLeft }) => {
    const belongings = { before: new Set(before), after: new Set(after) };
    expect(linksToSweep([link(name)], belongings, PORT)).toEqual(isLeft ? [name] : []);
    const found = leftoverDifferences({ namespaces: [], links: [link(name)] }, belongings);
    expect(found.map(({ kind, object }) => `${kind} ${object}`)).toEqual(isLeft ? [`link leaked ${name}`] : []);
  });

  it.each([
    { id: 'of nobody', name: NAMESPACE, before: NOBODY, after: NOBODY, isLeft: true },
    {
      id: 'of a network that is forgotten',
      name: NAMESPACE,
      before: new Set([NAMESPACE]),
      after: NOBODY,
      isLeft: false,
    },
    { id: 'of a network that is new', name: NAMESPACE, before: NOBODY, after: new Set([NAMESPACE]), isLeft: false },
    { id: 'of somebody else', name: 'cni-1234', before: NOBODY, after: NOBODY, isLeft: false },
  ])('of namespaces: $id', ({ name, before, after, isLeft }) => {
    const found = leftoverDifferences({ namespaces: [name], links: [] }, { before, after });
    expect(found.map(({ kind, object }) => `${kind} ${object}`)).toEqual(isLeft ? [`namespace leaked ${name}`] : []);
  });
});

it('while it cannot be told whose a veth is, none is removed', () => {
  expect(linksToSweep([link(LINK), link('vxlan1', PORT)], undefined, PORT)).toEqual(['vxlan1']);
});

describe('a VXLAN device in the host is removed', () => {
  it.each([
    { id: 'ours', device: link('vxlan1', PORT), removed: true },
    { id: 'ours, of an encrypted network', device: link('vxlan1', PORT + 3), removed: true },
    { id: 'of another port', device: link('vxlan1', 8472), removed: false },
    { id: 'of another name', device: link('vxlan0', PORT), removed: false },
    { id: 'not a VXLAN device', device: link('vxlan1'), removed: false },
  ])('$id: $removed', ({ device, removed }) => {
    const belongings = { before: NOBODY, after: NOBODY };
    expect(linksToSweep([device], belongings, PORT)).toEqual(removed ? [device.name] : []);
    expect(leftoverDifferences({ namespaces: [], links: [device] }, belongings)).toEqual([]);
  });
});
