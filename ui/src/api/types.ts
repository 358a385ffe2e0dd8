/** The types that cross the wire, under the names the screens use. */
import type { components, paths } from './schema';

type Schemas = components['schemas'];

/** What a request brings when it is met. */
type Answered<T> = T extends { responses: { 200: { content: { 'application/json': infer R } } } }
  ? R
  : never;

export type Action = Schemas['ActionView'];
export type Agent = Schemas['AgentView'];
export type AgentState = Schemas['AgentStateView'];
export type Allowed = Schemas['AllowedView'];
export type Answer = Schemas['AnswerBody'];
export type Approval = Schemas['ApprovalView'];
export type Attempt = Schemas['AttemptView'];
export type Author = Schemas['AuthorView'];
export type Board = Schemas['Board'];
export type Caps = Schemas['CapsView'];
export type Change = Schemas['ChangeView'];
export type ChecklistItem = Schemas['ChecklistItemView'];
export type CheckRun = Schemas['CheckRunView'];
export type Decision = Schemas['DecisionView'];
export type Delivery = Schemas['DeliveryView'];
export type Diff = Schemas['DiffView'];
export type Difference = Schemas['DifferenceView'];
export type Doctor = Schemas['DoctorView'];
export type DoctorCheck = Schemas['DoctorCheck'];
export type DoctorState = Schemas['DoctorState'];
export type Estimate = Schemas['EstimateView'];
export type Evidence = Schemas['EvidenceView'];
export type Facts = Schemas['FactsView'];
export type FileChange = Schemas['FileChangeView'];
export type Finding = Schemas['FindingView'];
export type Flag = Schemas['FlagView'];
export type Folder = Schemas['FolderView'];
export type Grant = Schemas['GrantView'];
export type Hold = Schemas['HoldView'];
export type Key = Schemas['KeyView'];
export type Kpi = Schemas['KpiView'];
export type Merge = Schemas['MergeView'];
export type Message = Schemas['MessageView'];
export type Milestone = Schemas['MilestoneView'];
export type NewTask = Schemas['NewTask'];
export type Overlap = Schemas['OverlapView'];
export type Pause = Schemas['PauseView'];
export type Permissions = Schemas['PermissionsView'];
export type Plan = Schemas['PlanView'];
export type PlanBody = Schemas['PlanBody'];
export type Planner = Schemas['PlannerView'];
export type PlanStep = Schemas['PlanStepView'];
export type PrimeUse = Schemas['PrimeView'];
export type Priority = Schemas['PriorityView'];
export type Problem = Schemas['Problem'];
export type Progress = Schemas['ProgressView'];
export type Project = Schemas['ProjectView'];
export type QuestionKind = Schemas['QuestionKindView'];
export type Role = Schemas['RoleView'];
export type Rule = Schemas['RuleView'];
export type SayBody = Schemas['SayBody'];
export type Seat = Schemas['SeatView'];
export type Session = Schemas['SessionView'];
export type Spent = Schemas['SpentView'];
export type Stage = Schemas['StageView'];
export type StageState = Schemas['StageStateView'];
export type Standing = Schemas['StandingView'];
export type Step = Schemas['StepView'];
export type StepKind = Schemas['StepKindView'];
export type Task = Schemas['TaskView'];
export type TaskCard = Schemas['TaskCard'];
export type TaskState = Schemas['TaskStateView'];
export type Team = Schemas['TeamView'];
export type Terms = Schemas['TermsView'];
export type TimelineItem = Schemas['TimelineItem'];
export type TimelineKind = Schemas['TimelineKind'];
export type Today = Schemas['TodayView'];
export type Trash = Schemas['TrashView'];

/** The forms for tasks that there are for a folder. */
export type Templates = Answered<paths['/api/v1/templates']['get']>;
export type Template = Templates['templates'][number];
export type TemplateField = Template['fields'][number];
/** A task as a template makes it. */
export type Filled = Answered<paths['/api/v1/templates/{name}/fill']['post']>;
/** A task that has to be done before another one is begun. */
export type WaitsFor = TaskCard['waits_for'][number];
