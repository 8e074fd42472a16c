import { describe, expect, test } from 'vitest';
import type { ApiService } from '../../../../../cli/commands/service/api-service.ts';
import { measure } from '../../../../../cli/commands/service/convergence.ts';
import { ProgressDisplay } from '../../../../../cli/commands/service/progress-display.ts';
import type { ApiTask } from '../../../../../cli/commands/task-listing.ts';
import type { Context } from '../../../../../cli/context.ts';
import type { ServiceMode } from '../../../../../proto/objects/service.ts';

function service(Mode: ServiceMode): ApiService {
  return { ID: 's', Version: { Index: 1 }, CreatedAt: '', Spec: { Name: 's', TaskTemplate: {}, Mode } };
}

/** `1 running`, `2 preparing>shutdown`: slot or node, state, desired state when that is not running. */
function task(text: string): ApiTask {
  const [place = '', states = ''] = text.split(' ');
  const [State = '', DesiredState = 'running'] = states.split('>');
  const slot = Number(place);
  return {
    ID: text,
    CreatedAt: '',
    Spec: {},
    ServiceID: 's',
    ...(Number.isNaN(slot) ? { NodeID: place } : { Slot: slot }),
    DesiredState,
    Status: { Timestamp: '', State },
  };
}

describe('a service has converged', () => {
  const two = service({ Replicated: { Replicas: 2 } });
  const global = service({ Global: {} });
  test.each([
    { id: 'all run', of: two, tasks: ['1 running', '2 running'], nodes: [], converged: true },
    { id: 'one starts', of: two, tasks: ['1 running', '2 starting'], nodes: [], converged: false },
    { id: 'one is missing', of: two, tasks: ['1 running'], nodes: [], converged: false },
    { id: 'one too many', of: two, tasks: ['1 running', '2 running', '3 running'], nodes: [], converged: false },
    { id: 'old ones do not count', of: two, tasks: ['1 running', '2 running>shutdown'], nodes: [], converged: false },
    { id: 'slots with gaps', of: two, tasks: ['2 running', '5 running'], nodes: [], converged: true },
    { id: 'restart is waited for', of: two, tasks: ['1 running', '2 ready>ready'], nodes: [], converged: false },
    { id: 'none wanted', of: service({ Replicated: { Replicas: 0 } }), tasks: [], nodes: [], converged: true },
    { id: 'one a node', of: global, tasks: ['a running', 'b running'], nodes: ['a', 'b'], converged: true },
    { id: 'a node starts', of: global, tasks: ['a running', 'b pending'], nodes: ['a', 'b'], converged: false },
    { id: 'a node that is kept out', of: global, tasks: ['a running'], nodes: ['a', 'b'], converged: true },
    { id: 'no node has begun', of: global, tasks: [], nodes: ['a', 'b'], converged: false },
  ])('$id: $converged', ({ of, tasks, nodes, converged }) => {
    expect(measure(of, tasks.map(task), nodes).converged).toBe(converged);
  });
});

test('without a terminal a line is printed only when it changes', () => {
  const lines: string[] = [];
  const context = { interactive: false, print: (line: string) => void lines.push(line) } as unknown as Context;
  const display = new ProgressDisplay(context, false);
  const at = (running: number): Parameters<ProgressDisplay['show']>[0] =>
    measure(
      service({ Replicated: { Replicas: 2 } }),
      ['1', '2'].map((slot) => task(`${slot} ${Number(slot) <= running ? 'running' : 'starting'}`)),
      [],
    );
  display.show(at(1), undefined, false);
  display.show(at(1), undefined, false);
  display.show(at(2), 4500, false);
  display.show(at(2), 4300, false);
  display.show(at(2), 3900, false);
  display.finish('verify: Service s converged');
  expect(lines).toEqual([
    'overall progress: 1 out of 2 tasks',
    'overall progress: 2 out of 2 tasks',
    'verify: Waiting 5 seconds to verify that tasks are stable...',
    'verify: Waiting 4 seconds to verify that tasks are stable...',
    'verify: Service s converged',
  ]);
});
