import { describe } from 'vitest';
import { redirectHandle } from '../../../../../worker/network/redirect/redirect-handle.ts';
import { ModelRedirects } from '../../../../fixtures/model-redirects.ts';
import {
  FIRST,
  LOWER,
  type Meddling,
  OTHER,
  redirectConformance,
  type RedirectWorld,
} from '../../../../fixtures/redirect-conformance.ts';

describe('the model of filters at ingress', () => {
  redirectConformance(() => {
    const kernel = new ModelRedirects();
    kernel.addLower(LOWER);
    kernel.addLower(OTHER);
    const world: RedirectWorld = {
      kernel,
      addLower: (name) => Promise.resolve(kernel.addLower(name)),
      removeLower: (name) => Promise.resolve(kernel.removeLower(name)),
      meddle: (how) => Promise.resolve(meddle(kernel, how)),
    };
    return Promise.resolve(world);
  });
});

function meddle(kernel: ModelRedirects, how: Meddling): void {
  const link = kernel.link('eth0');
  const { ip } = link.families;
  switch (how) {
    case 'own ingress qdisc with filters':
      Object.assign(link, { qdisc: 'ingress', others: true });
      return;
    case 'own clsact with a filter at egress':
      Object.assign(link, { qdisc: 'clsact', others: true });
      return;
    case 'our IPv4 priority for a filter of his own':
    case 'our IPv4 table under another priority':
      Object.assign(link, { qdisc: 'clsact', others: true });
      ip.table = 'taken';
      return;
    case 'filters shared with other links':
      link.qdisc = 'shared';
      return;
    case 'row removed':
      ip.rows.delete(redirectHandle(FIRST, 'ip'));
      return;
    case 'row with two actions':
      ip.rows.set(redirectHandle(FIRST, 'ip'), 'altered');
      return;
    case 'entry removed':
      ip.entries.clear();
      return;
    case 'entry twice':
      ip.entries.set('800::800', true);
      return;
    case 'entry elsewhere':
      ip.entries.set('800::1', false);
  }
}
