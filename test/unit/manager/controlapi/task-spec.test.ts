import { expect, test } from 'vitest';
import { validateTaskSpec } from '../../../../manager/controlapi/validation/task-spec.ts';
import type { TaskSpec } from '../../../../proto/objects/task.ts';

const container: TaskSpec = { ContainerSpec: { Image: 'busybox' } };

test.each<{ id: string; spec: TaskSpec }>([
  {
    // Docker looks at these and takes them whatever it finds; each counts as one unit of its kind.
    id: 'named resources beside counted ones',
    spec: {
      Resources: {
        Reservations: {
          GenericResources: [
            { DiscreteResourceSpec: { Kind: 'gpu', Value: 2 } },
            { NamedResourceSpec: { Kind: 'gpu', Value: 'gpu-7' } },
          ],
        },
      },
    },
  },
  { id: 'the least memory there can be', spec: { Resources: { Limits: { MemoryBytes: 4 * 1024 * 1024 } } } },
])('takes $id', ({ spec }) => {
  expect(() => validateTaskSpec({ ...container, ...spec })).not.toThrow();
});

test.each(['', 'bind', 'VOLUME', 'tmpfs', 'npipe'])('takes mounts of type "%s"', (Type) => {
  const mounts = [{ Type, Target: '/x' }];
  expect(() => validateTaskSpec({ ContainerSpec: { Image: 'busybox', Mounts: mounts } })).not.toThrow();
});

test('refuses mounts of another type', () => {
  const mounts = [{ Type: 'foo', Target: '/x' }];
  expect(() => validateTaskSpec({ ContainerSpec: { Image: 'busybox', Mounts: mounts } })).toThrow(
    'invalid MountType: "foo"',
  );
});
