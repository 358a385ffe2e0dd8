/** The screens and their addresses. An address means the same in the window and in a browser. */
import { Center, Loader } from '@mantine/core';
import { lazy, Suspense } from 'react';
import { Route, Switch } from 'wouter';
import { BoardPage } from '../board/BoardPage';
import { InboxPage } from '../inbox/InboxPage';
import { Announcer } from './Announcer';
import { Boundary } from './Boundary';
import { Dialogs } from './Dialogs';
import { DropZone } from './DropZone';
import { Palette } from './Palette';
import { Shell } from './Shell';
import { useShortcuts } from './shortcuts';

const InsightsPage = lazy(() => import('../insights/InsightsPage'));
const TaskPage = lazy(() => import('../task/TaskPage'));
const AgentsPage = lazy(() => import('../team/AgentsPage'));
const AllowedPage = lazy(() => import('../allowed/AllowedPage'));
const DoctorPage = lazy(() => import('../doctor/DoctorPage'));

export function App() {
  useShortcuts();
  return (
    <>
      <Shell>
        <Boundary>
          <Suspense
            fallback={
              <Center h={200}>
                <Loader size="sm" />
              </Center>
            }
          >
            <Switch>
              <Route path="/" component={BoardPage} />
              <Route path="/inbox" component={InboxPage} />
              <Route path="/agents" component={AgentsPage} />
              <Route path="/allowed" component={AllowedPage} />
              <Route path="/insights" component={InsightsPage} />
              <Route path="/doctor" component={DoctorPage} />
              <Route path="/t/:name/:tab?">
                {({ name, tab }) => <TaskPage key={name} name={name} tab={tab} />}
              </Route>
              <Route>
                <Center h={200}>There is no such page.</Center>
              </Route>
            </Switch>
          </Suspense>
        </Boundary>
      </Shell>
      <Announcer />
      <Dialogs />
      <Palette />
      <DropZone />
    </>
  );
}
