//! Makes every call of the library `reinfer-client` against a simulated platform.
//!
//! Each call prints `ok NAME`, by which `tests/vendor/check.py` finds calls that are not made here.
//! The first call that fails ends the program with status 1. Environment: `ENDPOINT`, `TOKEN`.

use chrono::{TimeZone, Utc};
use reinfer_client::resources::attachments::AttachmentMetadata;
use reinfer_client::resources::bucket::GetKeyedSyncStateIdsRequest;
use reinfer_client::resources::comment::AttachmentReference;
use reinfer_client::resources::dataset::{
    IxpDatasetNew, QueryRequestParams, StatisticsRequestParams as DatasetStatistics,
    SummaryRequestParams,
};
use reinfer_client::resources::documents::{Document, RawEmail, RawEmailBody, RawEmailHeaders};
use reinfer_client::resources::integration::{Configuration, NewIntegration};
use reinfer_client::resources::project::ForceDeleteProject;
use reinfer_client::resources::quota::{CreateQuota, TenantQuotaKind};
use reinfer_client::resources::source::StatisticsRequestParams as SourceStatistics;
use reinfer_client::resources::stream::{Name as StreamName, NewStream, StreamModel};
use reinfer_client::resources::tenant_id::{TenantId, UiPathTenantId};
use reinfer_client::*;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::str::FromStr;

/// Print that a call works, and return what it returned.
fn ok<T, E: Display>(name: &str, result: std::result::Result<T, E>) -> T {
    match result {
        Ok(value) => {
            println!("ok {name}");
            value
        }
        Err(error) => {
            println!("failed {name}: {error}");
            std::process::exit(1);
        }
    }
}

/// Check what a call returned.
fn check(name: &str, holds: bool) {
    if !holds {
        println!("failed {name}: the simulator's content is not what it should be");
        std::process::exit(1);
    }
}

/// Check that a call is refused with a status and a message.
fn refused<T>(name: &str, result: Result<T>, status: u16, message: &str) {
    match result {
        Err(Error::Api {
            status_code,
            message: said,
        }) if status_code.as_u16() == status && said.contains(message) => {
            println!("ok {name} ({status})")
        }
        Err(error) => {
            println!("failed {name}: expected {status} {message}, got: {error}");
            std::process::exit(1);
        }
        Ok(_) => {
            println!("failed {name}: expected {status}, got success");
            std::process::exit(1);
        }
    }
}

fn comment(id: &str, text: &str) -> NewComment {
    NewComment {
        id: CommentId(id.to_owned()),
        timestamp: Utc.with_ymd_and_hms(2024, 1, 2, 3, 4, 5).unwrap(),
        messages: vec![Message {
            body: MessageBody {
                text: text.to_owned(),
                ..Default::default()
            },
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn email(id: &str) -> NewEmail {
    NewEmail {
        id: EmailId(id.to_owned()),
        mailbox: Mailbox("support@example.com".to_owned()),
        timestamp: Utc.with_ymd_and_hms(2024, 1, 2, 3, 4, 5).unwrap(),
        mime_content: MimeContent("Subject: a\r\n\r\nb".to_owned()),
        metadata: None,
        attachments: Vec::new(),
    }
}

struct Names {
    project: ProjectName,
    source: SourceFullName,
    dataset: DatasetFullName,
    bucket: BucketFullName,
    stream: StreamFullName,
}

fn names(project: &str) -> Names {
    let dataset = DatasetFullName(format!("{project}/mail"));
    Names {
        project: ProjectName(project.to_owned()),
        source: SourceFullName(format!("{project}/mailbox")),
        bucket: BucketFullName(format!("{project}/inbox")),
        stream: StreamFullName {
            dataset: dataset.clone(),
            stream: StreamName("triage".to_owned()),
        },
        dataset,
    }
}

fn users(client: &Client) {
    let me = ok("get_current_user", client.get_current_user());
    check("get_current_user", me.email.0.contains('@'));
    let refreshed = ok(
        "refresh_user_permissions",
        client.refresh_user_permissions(),
    );
    check(
        "refresh_user_permissions",
        refreshed.permissions_refreshed == Some(true),
    );
    check(
        "get_users",
        ok("get_users", client.get_users())
            .iter()
            .any(|u| u.id == me.id),
    );
    let by_id = ok("get_user", client.get_user(UserIdentifier::Id(me.id.clone())));
    check("get_user", by_id.id == me.id);
    let permissions: HashMap<ProjectName, HashSet<ProjectPermission>> = HashMap::new();
    let new = ok(
        "create_user",
        client.create_user(NewUser {
            username: &Username("vendor".to_owned()),
            email: &UserEmail("vendor@example.com".to_owned()),
            global_permissions: &[],
            project_permissions: &permissions,
        }),
    );
    let update = UpdateUser {
        organisation_permissions: Some(HashMap::from([(
            ProjectName("ops".to_owned()),
            vec![ProjectPermission::SourcesRead],
        )])),
        global_permissions: None,
    };
    ok("post_user", client.post_user(&new.id, update));
    ok(
        "send_welcome_email",
        client.send_welcome_email(new.id.clone()),
    );
    ok(
        "delete_user",
        client.delete_user(UserIdentifier::Id(new.id)),
    );
}

fn tenant(client: &Client) {
    let quotas = ok("get_quotas", client.get_quotas(&None));
    check("get_quotas", !quotas.is_empty());
    let tenant = UiPathTenantId("8f7a0a5e".to_owned());
    ok(
        "get_quotas of a tenant",
        client.get_quotas(&Some(tenant.clone())),
    );
    let new = CreateQuota {
        hard_limit: 250,
        auto_increase_up_to: None,
    };
    ok(
        "create_quota",
        client.create_quota(&TenantId::UiPath(tenant), TenantQuotaKind::Sources, new),
    );
    check(
        "create_quota",
        ok("get_quotas", client.get_quotas(&None))
            .iter()
            .any(|q| q.hard_limit == 250),
    );
    let events = ok(
        "get_audit_events",
        client.get_audit_events(None, None, None),
    );
    check("get_audit_events", events.into_iter_printable().count() > 0);
    let name = ok(
        "integration name",
        IntegrationFullName::from_str("ops/exchange"),
    );
    check(
        "get_integrations",
        !ok("get_integrations", client.get_integrations()).is_empty(),
    );
    check(
        "get_integration",
        ok("get_integration", client.get_integration(&name)).enabled,
    );
    let new = NewIntegration {
        title: Some(reinfer_client::resources::integration::Title(
            "Vendor".to_owned(),
        )),
        enabled: Some(false),
        configuration: Configuration {
            connection: None,
            mailboxes: Vec::new(),
        },
    };
    let other = IntegrationFullName("ops/vendor".to_owned());
    ok("put_integration", client.put_integration(&other, &new));
    ok("post_integration", client.post_integration(&other, &new));
}

fn created(client: &Client, n: &Names) -> (Source, Dataset) {
    ok(
        "create_project",
        client.create_project(
            &n.project,
            NewProject {
                title: Some("Vendor"),
                description: None,
            },
            &[],
        ),
    );
    ok("get_project", client.get_project(&n.project));
    check(
        "get_projects",
        ok("get_projects", client.get_projects()).len() >= 2,
    );
    ok(
        "update_project",
        client.update_project(
            &n.project,
            UpdateProject {
                title: Some("Vendor's"),
                description: None,
            },
        ),
    );
    let bucket = ok(
        "create_bucket",
        client.create_bucket(
            &n.bucket,
            NewBucket {
                bucket_type: BucketType::Emails,
                title: Some("Inbox"),
            },
        ),
    );
    let source = ok(
        "create_source",
        client.create_source(
            &n.source,
            NewSource {
                title: Some("Mailbox"),
                bucket_id: Some(bucket.id),
                kind: Some(&SourceKind::Chat),
                ..Default::default()
            },
        ),
    );
    let tag = TransformTag("not-a-valid-transform-tag.0.ABCDEFGH".to_owned());
    refused(
        "update_source",
        client.update_source(
            &n.source,
            UpdateSource {
                transform_tag: Some(&tag),
                ..Default::default()
            },
        ),
        422,
        "The value 'not-a-valid-transform-tag.0.ABCDEFGH' is not a valid transform tag.",
    );
    ok(
        "update_source",
        client.update_source(
            &n.source,
            UpdateSource {
                title: Some("Mailbox 2"),
                ..Default::default()
            },
        ),
    );
    let new = |family| NewDataset {
        source_ids: std::slice::from_ref(&source.id),
        title: Some("Mail"),
        description: None,
        has_sentiment: Some(false),
        entity_defs: None,
        general_fields: None,
        label_defs: None,
        label_groups: None,
        model_family: Some(family),
        copy_annotations_from: None,
        dataset_flags: Vec::new(),
    };
    refused(
        "create_dataset",
        client.create_dataset(&n.dataset, new("non-existent-family")),
        400,
        "'non-existent-family' is not one of",
    );
    let dataset = ok(
        "create_dataset",
        client.create_dataset(&n.dataset, new("english")),
    );
    ok(
        "update_dataset",
        client.update_dataset(
            &n.dataset,
            UpdateDataset {
                source_ids: None,
                title: Some("Mail 2"),
                description: None,
                model_config: None,
                default_label_group_instructions: None,
                entity_defs: Vec::new(),
            },
        ),
    );
    ok(
        "create_ixp_dataset",
        client.create_ixp_dataset(IxpDatasetNew {
            name: DatasetName("vendor-ixp".to_owned()),
        }),
    );
    ok(
        "create_label_defs_bulk",
        client.create_label_defs_bulk(
            &n.dataset,
            LabelGroupName("default".to_owned()),
            vec![NewLabelDef {
                name: LabelName("Vendor".to_owned()),
                title: None,
                instructions: None,
                external_id: None,
                pretrained: None,
                trainable: None,
                moon_form: None,
            }],
        ),
    );
    (source, dataset)
}

fn sources_and_datasets(client: &Client, n: &Names, source: &Source, dataset: &Dataset) {
    check(
        "get_sources",
        ok("get_sources", client.get_sources()).len() >= 2,
    );
    ok("get_source", client.get_source(n.source.clone()));
    check(
        "get_source by id",
        ok("get_source by id", client.get_source(source.id.clone())).title == "Mailbox 2",
    );
    ok(
        "get_source_statistics",
        client.get_source_statistics(&n.source, &SourceStatistics::default()),
    );
    check(
        "get_datasets",
        ok("get_datasets", client.get_datasets()).len() >= 2,
    );
    ok("get_dataset", client.get_dataset(n.dataset.clone()));
    check(
        "get_dataset by id",
        ok("get_dataset by id", client.get_dataset(dataset.id.clone())).title == "Mail 2",
    );
    ok(
        "get_dataset_statistics",
        client.get_dataset_statistics(&n.dataset, &DatasetStatistics::default()),
    );
    ok(
        "dataset_summary",
        client.dataset_summary(&n.dataset, &SummaryRequestParams::default()),
    );
}

fn buckets(client: &Client, n: &Names) {
    check(
        "get_buckets",
        ok("get_buckets", client.get_buckets()).len() >= 2,
    );
    let fixture = ok("get_bucket", client.get_bucket(names("ops").bucket));
    ok("get_bucket by id", client.get_bucket(fixture.id.clone()));
    ok(
        "get_bucket_statistics",
        client.get_bucket_statistics(&n.bucket),
    );
    let states = ok(
        "get_keyed_sync_states",
        client.get_keyed_sync_states(&fixture.id),
    );
    check("get_keyed_sync_states", states.len() == 1);
    let ids = ok(
        "get_keyed_sync_state_ids",
        client.get_keyed_sync_state_ids(
            &fixture.id,
            &GetKeyedSyncStateIdsRequest {
                mailbox_name: states[0].mailbox_name.clone(),
            },
        ),
    );
    ok(
        "delete_keyed_sync_state",
        client.delete_keyed_sync_state(&fixture.id, &ids[0]),
    );
    ok(
        "put_emails",
        client.put_emails(&n.bucket, vec![email("e1")], true),
    );
    let split = client.put_emails_split_on_failure(&n.bucket, vec![email("e2"), email("e3")], true);
    check("put_emails_split_on_failure", split.num_failed == 0);
    println!("ok put_emails_split_on_failure");
    check(
        "get_email",
        ok(
            "get_email",
            client.get_email(&n.bucket, EmailId("e1".to_owned())),
        )
        .len()
            == 1,
    );
    let page = ok(
        "get_emails_iter_page",
        client.get_emails_iter_page(&n.bucket, None, 2),
    );
    check(
        "get_emails_iter_page",
        page.emails.len() == 2 && page.continuation.is_some(),
    );
    let all: usize = client
        .get_emails_iter(&n.bucket, Some(2))
        .map(|page| ok("get_emails_iter", page).len())
        .sum();
    check("get_emails_iter", all == 3);
    ok(
        "query_emails_iter_page",
        client.query_emails_iter_page(&n.bucket, &EmailsQueryFilter::default(), None, 2),
    );
    let all: usize = client
        .query_emails_iter(&n.bucket, EmailsQueryFilter::default(), Some(2))
        .map(|page| ok("query_emails_iter", page).len())
        .sum();
    check("query_emails_iter", all == 3);
    ok(
        "delete_emails",
        client.delete_emails(n.bucket.clone(), &[EmailId("e1".to_owned())]),
    );
}

fn comments(client: &Client, n: &Names, source: &Source) {
    ok(
        "put_comments",
        client.put_comments(&n.source, vec![comment("c1", "one")], true),
    );
    refused(
        "put_comments of one that exists",
        client.put_comments(&n.source, vec![comment("c1", "another")], true),
        409,
        "context",
    );
    let split =
        client.put_comments_split_on_failure(&n.source, vec![comment("c2", "two")], true);
    check("put_comments_split_on_failure", split.num_failed == 0);
    println!("ok put_comments_split_on_failure");
    let synced = ok(
        "sync_comments",
        client.sync_comments(
            &n.source,
            vec![comment("c1", "new text"), comment("c2", "two"), comment("c3", "three")],
            true,
        ),
    );
    check(
        "sync_comments",
        (synced.new, synced.updated, synced.unchanged) == (1, 1, 1),
    );
    let split =
        client.sync_comments_split_on_failure(&n.source, vec![comment("c3", "again")], true);
    check(
        "sync_comments_split_on_failure",
        split.num_failed == 0 && split.response.updated == 1,
    );
    println!("ok sync_comments_split_on_failure");
    let document = Document {
        raw_email: RawEmail {
            body: RawEmailBody::Plain("raw".to_owned()),
            headers: RawEmailHeaders::Raw("Subject: raw".to_owned()),
            attachments: Vec::<AttachmentMetadata>::new(),
        },
        user_properties: PropertyMap::new(),
        comment_id: Some(CommentId("raw1".to_owned())),
    };
    let tag = TransformTag("generic.0.CONVKER5".to_owned());
    let synced = ok(
        "sync_raw_emails",
        client.sync_raw_emails(&n.source, &[document], &tag, true, true),
    );
    check("sync_raw_emails", synced.comments.len() == 1);
    let id = CommentId("c1".to_owned());
    let read = ok("get_comment", client.get_comment(&n.source, &id));
    check("get_comment", read.messages[0].body.text == "new text");
    let page = ok(
        "get_comments_iter_page",
        client.get_comments_iter_page(&n.source, None, None, 2),
    );
    check("get_comments_iter_page", page.comments.len() == 2);
    let all: usize = client
        .get_comments_iter(&n.source, Some(2), CommentsIterTimerange::default())
        .map(|page| ok("get_comments_iter", page).len())
        .sum();
    check("get_comments_iter", all == 4);
    files(client, source, &id);
    ok(
        "delete_comments",
        client.delete_comments(n.source.clone(), &[CommentId("c2".to_owned())]),
    );
}

fn files(client: &Client, source: &Source, id: &CommentId) {
    let file = std::env::temp_dir().join(format!("vendor-check-{}.txt", std::process::id()));
    ok("a file to upload", std::fs::write(&file, b"content"));
    ok(
        "put_comment_audio",
        client.put_comment_audio(&source.id, id, &file),
    );
    ok(
        "upload_comment_attachment",
        client.upload_comment_attachment(&source.id, id, 0, &file),
    );
    ok("a file to upload", std::fs::remove_file(&file));
    let document = ok(
        "upload_ixp_document",
        client.upload_ixp_document(&source.id, "a.pdf".to_owned(), b"%PDF".to_vec()),
    );
    check(
        "get_ixp_document",
        !ok(
            "get_ixp_document",
            client.get_ixp_document(&source.id, &document),
        )
        .is_empty(),
    );
    let reference = AttachmentReference("simulated-attachment".to_owned());
    check(
        "get_attachment",
        ok("get_attachment", client.get_attachment(&reference)) == b"A parcel.",
    );
}

fn annotations(client: &Client, n: &Names, source: &Source) {
    let uid = CommentUid(format!("{}.c1", source.id.0));
    let labelling = NewLabelling {
        group: LabelGroupName("default".to_owned()),
        assigned: Some(vec![Label {
            name: LabelName("Vendor".to_owned()),
            sentiment: Sentiment::Positive,
            metadata: None,
        }]),
        dismissed: None,
    };
    let annotated = ok(
        "update_labelling",
        client.update_labelling(&n.dataset, &uid, Some(&[labelling]), None, None),
    );
    check("update_labelling", annotated.has_annotations());
    check(
        "get_labellings",
        ok(
            "get_labellings",
            client.get_labellings(&n.dataset, [uid.clone()].iter()),
        )
        .len()
            == 1,
    );
    ok(
        "get_labellings_in_bulk",
        client.get_labellings_in_bulk(
            &n.dataset,
            GetLabellingsInBulk {
                source_id: &source.id,
                return_predictions: &false,
                after: &None,
                limit: &Some(2),
            },
        ),
    );
    let all: usize = client
        .get_labellings_iter(&n.dataset, &source.id, false, Some(2))
        .map(|page| ok("get_labellings_iter", page).len())
        .sum();
    check("get_labellings_iter", all >= 3);
    ok(
        "get_recent_comments",
        client.get_recent_comments(&n.dataset, &CommentFilter::default(), 8, None),
    );
    ok(
        "query_dataset",
        client.query_dataset(&n.dataset, &QueryRequestParams::default()),
    );
    check(
        "query_dataset_csv",
        ok(
            "query_dataset_csv",
            client.query_dataset_csv(&n.dataset, &QueryRequestParams::default()),
        )
        .contains("c1"),
    );
    let mut params = QueryRequestParams {
        limit: Some(2),
        ..Default::default()
    };
    let all: usize = client
        .get_dataset_query_iter(&n.dataset, &mut params)
        .map(|page| ok("get_dataset_query_iter", page).len())
        .sum();
    check("get_dataset_query_iter", all >= 3);
}

fn models(client: &Client, source: &Source) {
    let n = names("ops");
    let models = ok("get_labellers", client.get_labellers(&n.dataset));
    let version = models[0].version.clone();
    ok(
        "get_latest_validation",
        client.get_latest_validation(&n.dataset),
    );
    ok("get_validation", client.get_validation(&n.dataset, &version));
    refused(
        "get_validation of a version that does not exist",
        client.get_validation(&n.dataset, &ModelVersion(999)),
        404,
        "404 Not Found",
    );
    ok(
        "get_label_validation",
        client.get_label_validation(&LabelName("Urgent".to_owned()), &n.dataset, &version),
    );
    let uid = CommentUid(format!("{}.c1", source.id.0));
    // A written comment has its prediction after a while.
    for _ in 0..200 {
        let predictions = ok(
            "get_comment_predictions",
            client.get_comment_predictions(&n.dataset, &version, [uid.clone()].iter(), None, None),
        );
        if !predictions.is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    check("get_comment_predictions", false);
}

fn streams(client: &Client, n: &Names) {
    let stream = |version| NewStream {
        name: StreamName("triage".to_owned()),
        title: None,
        description: None,
        comment_filter: None,
        model: Some(StreamModel {
            version: ModelVersion(version),
            label_thresholds: Vec::new(),
        }),
    };
    refused(
        "put_stream with a version that does not exist",
        client.put_stream(&n.dataset, &stream(999)),
        422,
        "999",
    );
    ok("put_stream", client.put_stream(&n.dataset, &stream(7)));
    ok(
        "sync_comments",
        client.sync_comments(&n.source, vec![comment("s1", "a"), comment("s2", "b")], true),
    );
    check(
        "get_streams",
        ok("get_streams", client.get_streams(&n.dataset)).len() == 1,
    );
    ok("get_stream", client.get_stream(&n.stream));
    let mut batch = ok(
        "fetch_stream_comments",
        client.fetch_stream_comments(&n.stream, 8),
    );
    // Written comments are in the stream after a while.
    for _ in 0..200 {
        if batch.results.len() == 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        batch = ok(
            "fetch_stream_comments",
            client.fetch_stream_comments(&n.stream, 8),
        );
    }
    check("fetch_stream_comments", batch.results.len() == 2);
    let first = batch.results[0].sequence_id.clone();
    ok("advance_stream", client.advance_stream(&n.stream, first));
    let rest = ok(
        "fetch_stream_comments",
        client.fetch_stream_comments(&n.stream, 8),
    );
    check("advance_stream", rest.results.len() == 1);
    refused(
        "advance_stream to an id that is not of the stream",
        client.advance_stream(&n.stream, StreamSequenceId("nonsense".to_owned())),
        400,
        "sequence_id",
    );
    let start = Utc.with_ymd_and_hms(2020, 1, 1, 0, 0, 0).unwrap();
    ok("reset_stream", client.reset_stream(&n.stream, start));
    let again = ok(
        "fetch_stream_comments",
        client.fetch_stream_comments(&n.stream, 8),
    );
    check("reset_stream", again.results.len() >= 2);
    let kind = "No Prediction".to_owned();
    let uid = again.results[0].comment.uid.clone();
    ok(
        "tag_stream_exceptions",
        client.tag_stream_exceptions(
            &n.stream,
            &[StreamException {
                metadata: StreamExceptionMetadata { r#type: &kind },
                uid: &uid,
            }],
        ),
    );
}

fn deleted(client: &Client, n: &Names) {
    refused(
        "delete_project with resources",
        client.delete_project(&n.project, ForceDeleteProject::No),
        409,
        "Project contains child resources but force deletion was not requested: ",
    );
    ok("delete_dataset", client.delete_dataset(n.dataset.clone()));
    ok("delete_source", client.delete_source(n.source.clone()));
    ok("delete_bucket", client.delete_bucket(n.bucket.clone()));
    ok(
        "delete_project",
        client.delete_project(&n.project, ForceDeleteProject::No),
    );
    refused(
        "get_project that was deleted",
        client.get_project(&n.project),
        404,
        "404 Not Found",
    );
}

fn main() {
    let variable = |name: &str| std::env::var(name).expect("ENDPOINT and TOKEN must be set");
    let endpoint = url::Url::parse(&variable("ENDPOINT")).expect("ENDPOINT is a URL");
    let client = ok(
        "new",
        Client::new(Config {
            endpoint: endpoint.clone(),
            token: Token(variable("TOKEN")),
            ..Default::default()
        }),
    );
    check("base_url", client.base_url() == &endpoint);
    println!("ok base_url");
    let n = names("vendor");
    users(&client);
    tenant(&client);
    let (source, dataset) = created(&client, &n);
    sources_and_datasets(&client, &n, &source, &dataset);
    buckets(&client, &n);
    comments(&client, &n, &source);
    annotations(&client, &n, &source);
    models(&client, &source);
    streams(&client, &n);
    deleted(&client, &n);
    println!("ok everything");
}
