import { describe, expect, it } from 'vitest';
import { checkEngine } from '../../../../cli/daemon/preflight.ts';

describe('checkEngine', () => {
  it('accepts an engine that is in no swarm', () => {
    expect(() => checkEngine({ Swarm: { LocalNodeState: 'inactive' } }, '/run/docker.sock')).not.toThrow();
    expect(() => checkEngine({}, '/run/docker.sock')).not.toThrow();
  });
  for (const state of ['active', 'pending', 'locked', 'error']) {
    it(`refuses an engine whose own swarm is ${state}, and says how to mend it`, () => {
      expect(() => checkEngine({ Swarm: { LocalNodeState: state } }, '/run/docker.sock')).toThrow(
        'docker -H unix:///run/docker.sock swarm leave --force',
      );
    });
  }
});
